"""What runs on every cluster before its user comes: DNS, and the metrics of pods and nodes.

Their images are made here from the compiled parts, and their manifests lie in ``manifests/``
with ``${NAMES}`` for what differs between clusters.
"""

import string
import subprocess
from collections.abc import Mapping
from pathlib import Path

from dev.cluster import build, oci
from dev.cluster.configs import PAUSE_IMAGE
from dev.cluster.errors import Refused
from dev.cluster.files import locked
from dev.cluster.folders import MANIFESTS, cache

DNS_IMAGE = "localhost/modelfleet/coredns:dev"
METRICS_IMAGE = "localhost/modelfleet/metrics-server:dev"
_IMAGES = {"pause": PAUSE_IMAGE, "coredns": DNS_IMAGE, "metrics-server": METRICS_IMAGE}


def archive(program: str) -> Path:
    """The image archive of a part, packed at its first use."""
    part = next(p for p in build.PARTS if p.name == program)
    packed = cache() / "images" / f"{program}-{build.part_key(part)}.tar"
    if not packed.exists():
        with locked(cache() / "images" / ".lock", "another start packs images"):
            binary = build.part_folder(part) / program
            image = oci.Image(_IMAGES[program], {f"/{program}": binary}, entrypoint=[f"/{program}"])
            oci.write(image, packed)
    return packed


def manifest(name: str, values: Mapping[str, str]) -> str:
    """The manifest for one cluster; a name without a value is a mistake and raises."""
    return string.Template((MANIFESTS / f"{name}.yaml").read_text()).substitute(values)


def dns(service: str) -> str:
    return manifest("coredns", {"IMAGE": DNS_IMAGE, "CLUSTER_IP": service})


def metrics(kubelet_ca: bool) -> str:
    """``kubelet_ca``: whether the kubelet's certificate is signed by the cluster's authority
    (kind's is signed by itself)."""
    check = "--kubelet-certificate-authority=/cluster-ca/ca.crt"
    return manifest(
        "metrics-server",
        {"IMAGE": METRICS_IMAGE, "KUBELET": check if kubelet_ca else "--kubelet-insecure-tls"},
    )


def apply(kubectl: Path, kubeconfig: Path, content: str) -> None:
    done = subprocess.run(
        # These are known to be valid, and asking the API for its schema takes a second.
        [kubectl, "--kubeconfig", kubeconfig, "apply", "--validate=false", "-f", "-"],
        input=content,
        capture_output=True,
        text=True,
        check=False,
    )
    if done.returncode != 0:
        raise Refused(f"the cluster refused an addon ({done.stderr.strip()}): down, then up again.")
