"""What is written down for the programs of a node? Pure: a node's facts in, files out.

Written as JSON, which is YAML too, except where the reader knows only its own format.
"""

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from dev.cluster.addresses import Block

CONTAINERD_ROOT = "/var/lib/containerd"
CONTAINERD_SOCKET = "/run/containerd/containerd.sock"
CNI_PLUGINS = "/usr/lib/cni"
PAUSE_IMAGE = "localhost/modelfleet/pause:dev"


@dataclass(frozen=True)
class Node:
    """All that the files depend on."""

    name: str
    block: Block
    pki: Path
    etc: Path
    log: Path
    containerd_major: int
    runc: str
    snapshotter: str
    bridge_sees_services: bool
    may_raise_limits: bool
    open_files: int
    audit: bool


def files(node: Node) -> dict[str, str]:
    """Name below the configuration folder -> content."""
    written = {
        "etcd.yaml": etcd(node),
        "kubelet.yaml": kubelet(node),
        "kube-proxy.yaml": kube_proxy(node),
        "containerd.toml": containerd(node),
        "cni/10-modelfleet.conflist": cni(node),
        # Outside names fail at once: there is no way out of the node to look them up.
        "resolv.conf": "search .\n",
    }
    if node.audit:
        written["audit-policy.yaml"] = audit_policy()
    return written


def _json(content: Any) -> str:
    return json.dumps(content, indent=1) + "\n"


def etcd(node: Node) -> str:
    client = "https://127.0.0.1:2379"
    peer = "http://127.0.0.1:2380"
    return _json(
        {
            "name": node.name,
            "data-dir": "/var/lib/etcd",
            "listen-client-urls": client,
            "advertise-client-urls": client,
            "listen-peer-urls": peer,
            "initial-advertise-peer-urls": peer,
            "initial-cluster": f"{node.name}={peer}",
            "initial-cluster-state": "new",
            "client-transport-security": {
                "cert-file": f"{node.pki}/etcd-server.crt",
                "key-file": f"{node.pki}/etcd-server.key",
                "trusted-ca-file": f"{node.pki}/etcd-ca.crt",
                "client-cert-auth": True,
            },
            # The data live as long as the cluster; nobody needs them after a power cut.
            "unsafe-no-fsync": True,
            "log-level": "warn",
            # Below its default every request of a busy test is logged as slow.
            "warning-unary-request-duration": 1_000_000_000,
        }
    )


def kubelet(node: Node) -> str:
    return _json(
        {
            "apiVersion": "kubelet.config.k8s.io/v1beta1",
            "kind": "KubeletConfiguration",
            "address": "0.0.0.0",
            "port": 10250,
            "healthzBindAddress": "127.0.0.1",
            "healthzPort": 10248,
            "authentication": {
                "anonymous": {"enabled": False},
                "webhook": {"enabled": True},
                "x509": {"clientCAFile": f"{node.pki}/ca.crt"},
            },
            "authorization": {"mode": "Webhook"},
            "tlsCertFile": f"{node.pki}/kubelet-serving.crt",
            "tlsPrivateKeyFile": f"{node.pki}/kubelet-serving.key",
            "containerRuntimeEndpoint": f"unix://{CONTAINERD_SOCKET}",
            "cgroupDriver": "cgroupfs",
            "failCgroupV1": False,
            "failSwapOn": False,
            "clusterDomain": "cluster.local",
            "clusterDNS": [node.block.dns_service],
            "resolvConf": f"{node.etc}/resolv.conf",
            "volumePluginDir": "/var/lib/kubelet/volume-plugins",
            "staticPodPath": "",
            # The disk is the host's, which is a developer's and rather full.
            "evictionHard": {
                "memory.available": "100Mi",
                "nodefs.available": "1%",
                "nodefs.inodesFree": "1%",
                "imagefs.available": "1%",
                "imagefs.inodesFree": "1%",
            },
            # An image that was removed cannot be pulled again.
            "imageGCHighThresholdPercent": 100,
            "imageGCLowThresholdPercent": 99,
            "serializeImagePulls": False,
            "maxPods": 250,
            "maxOpenFiles": node.open_files,
        }
    )


def kube_proxy(node: Node) -> str:
    return _json(
        {
            "apiVersion": "kubeproxy.config.k8s.io/v1alpha1",
            "kind": "KubeProxyConfiguration",
            "mode": "nftables",
            "bindAddress": "0.0.0.0",
            "healthzBindAddress": "127.0.0.1:10256",
            "metricsBindAddress": "127.0.0.1:10249",
            "clusterCIDR": str(node.block.pods),
            "hostnameOverride": node.name,
            "clientConnection": {"kubeconfig": f"{node.pki}/kube-proxy.kubeconfig"},
            # Zero means "leave alone": conntrack's sizes belong to the whole host.
            "conntrack": {
                "maxPerCore": 0,
                "tcpEstablishedTimeout": "0s",
                "tcpCloseWaitTimeout": "0s",
            },
        }
    )


def cni(node: Node) -> str:
    """A bridge where the kernel shows bridged packets to nftables; else a wire per pod.

    Without that sight, the answer of a Service's pod to its neighbour on the bridge would skip
    the translation back. Switching it on means loading a module for the whole host.
    """
    ipam = {
        "type": "host-local",
        "ranges": [[{"subnet": str(node.block.pods)}]],
        "routes": [{"dst": "0.0.0.0/0"}],
        "dataDir": "/var/lib/cni/networks",
    }
    bridge = {
        "type": "bridge",
        "bridge": "cni0",
        "isGateway": True,
        "ipMasq": False,
        # A pod reaches itself through its own Service.
        "hairpinMode": True,
        "ipam": ipam,
    }
    wire = {"type": "ptp", "ipMasq": False, "ipam": ipam}
    ports = {"type": "portmap", "capabilities": {"portMappings": True}}
    first = bridge if node.bridge_sees_services else wire
    return _json({"cniVersion": "1.0.0", "name": "modelfleet", "plugins": [first, ports]})


def audit_policy() -> str:
    """Who did what, without bodies. Health checks are left out: there is one a second."""
    return _json(
        {
            "apiVersion": "audit.k8s.io/v1",
            "kind": "Policy",
            "omitStages": ["RequestReceived"],
            "rules": [
                {"level": "None", "nonResourceURLs": ["/healthz*", "/livez*", "/readyz*"]},
                {"level": "Metadata"},
            ],
        }
    )


def containerd(node: Node) -> str:
    """Debian 12 has containerd 1.6, its successors 1.7 and 2.x; the layout changed with 2.0."""
    unused = ("btrfs", "zfs", "devmapper")
    disabled = [f"io.containerd.snapshotter.v1.{name}" for name in unused]
    restrict = json.dumps(not node.may_raise_limits)
    if node.containerd_major >= 2:
        disabled += ["io.containerd.nri.v1.nri", "io.containerd.internal.v1.tracing"]
        images = "io.containerd.cri.v1.images"
        runtime = "io.containerd.cri.v1.runtime"
        body = f"""
[plugins.'{images}']
  snapshotter = "{node.snapshotter}"
  [plugins.'{images}'.pinned_images]
    sandbox = "{PAUSE_IMAGE}"
[plugins.'{runtime}']
  restrict_oom_score_adj = {restrict}
  [plugins.'{runtime}'.containerd]
    default_runtime_name = "runc"
    [plugins.'{runtime}'.containerd.runtimes.runc]
      runtime_type = "io.containerd.runc.v2"
      [plugins.'{runtime}'.containerd.runtimes.runc.options]
        BinaryName = "{node.runc}"
        SystemdCgroup = false
  [plugins.'{runtime}'.cni]
    bin_dirs = ["{CNI_PLUGINS}"]
    conf_dir = "{node.etc}/cni"
"""
    else:
        cri = 'plugins."io.containerd.grpc.v1.cri"'
        body = f"""
[{cri}]
  sandbox_image = "{PAUSE_IMAGE}"
  restrict_oom_score_adj = {restrict}
  [{cri}.containerd]
    snapshotter = "{node.snapshotter}"
    default_runtime_name = "runc"
    [{cri}.containerd.runtimes.runc]
      runtime_type = "io.containerd.runc.v2"
      [{cri}.containerd.runtimes.runc.options]
        BinaryName = "{node.runc}"
        SystemdCgroup = false
  [{cri}.cni]
    bin_dir = "{CNI_PLUGINS}"
    conf_dir = "{node.etc}/cni"
"""
    return f"""version = {3 if node.containerd_major >= 2 else 2}
root = "{CONTAINERD_ROOT}"
state = "/run/containerd"
disabled_plugins = {json.dumps(disabled)}
[grpc]
  address = "{CONTAINERD_SOCKET}"
{body}"""
