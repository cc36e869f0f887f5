"""Who may talk to whom in the cluster? The authorities, certificates and kubeconfigs of a node.

Made by openssl, anew for each start: the API server's certificate names addresses, and those
are the block's. Leaf certificates carry subject and authority key identifiers, because
Python 3.13 refuses to verify a chain without them.
"""

import base64
import concurrent.futures
import json
import subprocess
from dataclasses import dataclass
from pathlib import Path

from dev.cluster.addresses import Block
from dev.cluster.errors import Refused
from dev.cluster.packages import required

DAYS = "3650"
AUTHORITIES = {
    "ca": "kubernetes-ca",
    "etcd-ca": "etcd-ca",
    "front-proxy-ca": "front-proxy-ca",
}


@dataclass(frozen=True)
class Leaf:
    """One certificate: signed by whom, for whom, to be used as what, under which names."""

    name: str
    authority: str
    subject: str
    uses: str
    names: str = ""


def leaves(node: str, block: Block) -> list[Leaf]:
    service = "kubernetes.default.svc"
    api_names = ["kubernetes", "kubernetes.default", service, f"{service}.cluster.local"]
    api_names += ["localhost", node]
    api_addresses = ["127.0.0.1", block.node, block.api_service]
    return [
        Leaf("etcd-server", "etcd-ca", "/CN=etcd", "serverAuth,clientAuth",
             "DNS:localhost,IP:127.0.0.1"),
        Leaf("etcd-client", "etcd-ca", "/O=system:masters/CN=kube-apiserver-etcd-client",
             "clientAuth"),
        Leaf("apiserver", "ca", "/CN=kube-apiserver", "serverAuth",
             ",".join([f"DNS:{n}" for n in api_names] + [f"IP:{a}" for a in api_addresses])),
        Leaf("kubelet-client", "ca", "/O=system:masters/CN=kube-apiserver-kubelet-client",
             "clientAuth"),
        Leaf("front-proxy-client", "front-proxy-ca", "/CN=front-proxy-client", "clientAuth"),
        Leaf("kubelet-serving", "ca", f"/O=system:nodes/CN=system:node:{node}", "serverAuth",
             f"DNS:{node},IP:{block.node},IP:127.0.0.1"),
        Leaf("admin", "ca", "/O=system:masters/CN=kubernetes-admin", "clientAuth"),
        Leaf("controller-manager", "ca", "/CN=system:kube-controller-manager", "clientAuth"),
        Leaf("scheduler", "ca", "/CN=system:kube-scheduler", "clientAuth"),
        Leaf("kube-proxy", "ca", "/CN=system:kube-proxy", "clientAuth"),
        Leaf("kubelet", "ca", f"/O=system:nodes/CN=system:node:{node}", "clientAuth"),
    ]  # fmt: skip


# Whoever of the leaves speaks to the API server as a client gets a kubeconfig.
CLIENTS = ("admin", "controller-manager", "scheduler", "kube-proxy", "kubelet")


def kubeconfig(cluster: str, server: str, user: str, ca: bytes, cert: bytes, key: bytes) -> str:
    """JSON, which is YAML too, so that no quoting can go wrong."""

    def coded(data: bytes) -> str:
        return base64.b64encode(data).decode()

    return json.dumps(
        {
            "apiVersion": "v1",
            "kind": "Config",
            "clusters": [
                {
                    "name": cluster,
                    "cluster": {"server": server, "certificate-authority-data": coded(ca)},
                }
            ],
            "users": [
                {
                    "name": user,
                    "user": {
                        "client-certificate-data": coded(cert),
                        "client-key-data": coded(key),
                    },
                }
            ],
            "contexts": [{"name": cluster, "context": {"cluster": cluster, "user": user}}],
            "current-context": cluster,
        },
        indent=1,
    )


def extensions(leaf: Leaf) -> str:
    lines = [
        "basicConstraints=critical,CA:FALSE",
        "subjectKeyIdentifier=hash",
        "authorityKeyIdentifier=keyid,issuer",
        "keyUsage=critical,digitalSignature,keyEncipherment",
        f"extendedKeyUsage={leaf.uses}",
    ]
    if leaf.names:
        lines.append(f"subjectAltName={leaf.names}")
    return "\n".join(lines) + "\n"


def write(folder: Path, cluster: str, node: str, block: Block) -> None:
    folder.mkdir(parents=True, mode=0o700)
    with concurrent.futures.ThreadPoolExecutor(4) as pool:
        list(pool.map(lambda name: _authority(folder, name), AUTHORITIES))
        list(pool.map(lambda leaf: _leaf(folder, leaf), leaves(node, block)))
    _key(folder, "service-accounts")
    _openssl(folder, "ec", "-in", "service-accounts.key", "-pubout", "-out", "service-accounts.pub")
    ca = (folder / "ca.crt").read_bytes()
    for user in CLIENTS:
        config = kubeconfig(
            cluster,
            f"https://{block.node}:6443",
            user,
            ca,
            (folder / f"{user}.crt").read_bytes(),
            (folder / f"{user}.key").read_bytes(),
        )
        (folder / f"{user}.kubeconfig").write_text(config)


def _authority(folder: Path, name: str) -> None:
    _key(folder, name)
    _openssl(
        folder, "req", "-x509", "-new", "-key", f"{name}.key", "-sha256", "-days", DAYS,
        "-subj", f"/CN={AUTHORITIES[name]}", "-out", f"{name}.crt",
        "-addext", "basicConstraints=critical,CA:TRUE",
        "-addext", "keyUsage=critical,keyCertSign,cRLSign,digitalSignature",
    )  # fmt: skip


def _leaf(folder: Path, leaf: Leaf) -> None:
    _key(folder, leaf.name)
    _openssl(folder, "req", "-new", "-key", f"{leaf.name}.key", "-subj", leaf.subject,
             "-out", f"{leaf.name}.csr")  # fmt: skip
    (folder / f"{leaf.name}.ext").write_text(extensions(leaf))
    _openssl(
        folder, "x509", "-req", "-in", f"{leaf.name}.csr", "-CA", f"{leaf.authority}.crt",
        "-CAkey", f"{leaf.authority}.key", "-days", DAYS, "-sha256",
        "-extfile", f"{leaf.name}.ext", "-out", f"{leaf.name}.crt",
    )  # fmt: skip


def _key(folder: Path, name: str) -> None:
    _openssl(folder, "genpkey", "-algorithm", "EC", "-pkeyopt", "ec_paramgen_curve:P-256",
             "-out", f"{name}.key")  # fmt: skip


def _openssl(folder: Path, *arguments: str) -> None:
    done = subprocess.run(
        [required("openssl"), *arguments], cwd=folder, capture_output=True, text=True, check=False
    )
    if done.returncode != 0:
        raise Refused(
            f"openssl could not {arguments[0]} ({done.stderr.strip()}): install openssl 3."
        )
