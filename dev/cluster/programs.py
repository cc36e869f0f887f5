"""With which arguments is each program of a node started? Pure: a node's facts in, lists out."""

from dataclasses import dataclass

from dev.cluster.configs import Node

API_PORT = 6443


@dataclass(frozen=True)
class Program:
    name: str
    command: list[str]
    # The first need nothing; the others would only log refusals until the API answers.
    after_api: bool


def all_of(node: Node, found: dict[str, str]) -> list[Program]:
    """In the order of their start. ``found``: program -> its file."""
    return [
        Program("etcd", [found["etcd"], "--config-file", f"{node.etc}/etcd.yaml"], False),
        Program(
            "containerd", [found["containerd"], "--config", f"{node.etc}/containerd.toml"], False
        ),
        Program("kube-apiserver", [found["kube-apiserver"], *api_server(node)], False),
        Program(
            "kube-controller-manager",
            [found["kube-controller-manager"], *controller_manager(node)],
            True,
        ),
        Program("kube-scheduler", [found["kube-scheduler"], *scheduler(node)], True),
        Program("kubelet", [found["kubelet"], *kubelet(node)], True),
        Program("kube-proxy", [found["kube-proxy"], f"--config={node.etc}/kube-proxy.yaml"], True),
    ]


def api_server(node: Node) -> list[str]:
    pki = node.pki
    arguments = [
        # There is no default route from which it could find its own address.
        f"--advertise-address={node.block.node}",
        "--bind-address=0.0.0.0",
        f"--secure-port={API_PORT}",
        "--etcd-servers=https://127.0.0.1:2379",
        f"--etcd-cafile={pki}/etcd-ca.crt",
        f"--etcd-certfile={pki}/etcd-client.crt",
        f"--etcd-keyfile={pki}/etcd-client.key",
        f"--service-cluster-ip-range={node.block.services}",
        "--authorization-mode=Node,RBAC",
        "--enable-admission-plugins=NodeRestriction",
        "--allow-privileged=true",
        f"--client-ca-file={pki}/ca.crt",
        f"--tls-cert-file={pki}/apiserver.crt",
        f"--tls-private-key-file={pki}/apiserver.key",
        f"--kubelet-client-certificate={pki}/kubelet-client.crt",
        f"--kubelet-client-key={pki}/kubelet-client.key",
        f"--kubelet-certificate-authority={pki}/ca.crt",
        "--kubelet-preferred-address-types=InternalIP",
        "--service-account-issuer=https://kubernetes.default.svc.cluster.local",
        f"--service-account-key-file={pki}/service-accounts.pub",
        f"--service-account-signing-key-file={pki}/service-accounts.key",
        # metrics-server is an aggregated API, and these are how it knows who asks.
        f"--requestheader-client-ca-file={pki}/front-proxy-ca.crt",
        "--requestheader-allowed-names=front-proxy-client",
        "--requestheader-extra-headers-prefix=X-Remote-Extra-",
        "--requestheader-group-headers=X-Remote-Group",
        "--requestheader-username-headers=X-Remote-User",
        f"--proxy-client-cert-file={pki}/front-proxy-client.crt",
        f"--proxy-client-key-file={pki}/front-proxy-client.key",
        # A test that loses its node should not wait the usual five minutes.
        "--default-not-ready-toleration-seconds=10",
        "--default-unreachable-toleration-seconds=10",
    ]
    if node.audit:
        arguments += [
            f"--audit-policy-file={node.etc}/audit-policy.yaml",
            f"--audit-log-path={node.log}/audit.log",
            # Rotation would take away what a test is about to read.
            "--audit-log-maxsize=1000",
        ]
    return arguments


def controller_manager(node: Node) -> list[str]:
    pki = node.pki
    config = f"{pki}/controller-manager.kubeconfig"
    return [
        f"--kubeconfig={config}",
        f"--authentication-kubeconfig={config}",
        f"--authorization-kubeconfig={config}",
        "--bind-address=127.0.0.1",
        f"--client-ca-file={pki}/ca.crt",
        f"--root-ca-file={pki}/ca.crt",
        f"--service-account-private-key-file={pki}/service-accounts.key",
        f"--cluster-signing-cert-file={pki}/ca.crt",
        f"--cluster-signing-key-file={pki}/ca.key",
        f"--requestheader-client-ca-file={pki}/front-proxy-ca.crt",
        "--use-service-account-credentials=true",
        "--allocate-node-cidrs=true",
        f"--cluster-cidr={node.block.pods}",
        f"--node-cidr-mask-size={node.block.pods.prefixlen}",
        f"--service-cluster-ip-range={node.block.services}",
        "--leader-elect=false",
        # Autoscaling tests would otherwise wait for the rounds, not for the rule.
        "--horizontal-pod-autoscaler-sync-period=5s",
        "--horizontal-pod-autoscaler-cpu-initialization-period=30s",
        "--horizontal-pod-autoscaler-initial-readiness-delay=5s",
    ]


def scheduler(node: Node) -> list[str]:
    config = f"{node.pki}/scheduler.kubeconfig"
    return [
        f"--kubeconfig={config}",
        f"--authentication-kubeconfig={config}",
        f"--authorization-kubeconfig={config}",
        "--bind-address=127.0.0.1",
        "--leader-elect=false",
    ]


def kubelet(node: Node) -> list[str]:
    return [
        f"--config={node.etc}/kubelet.yaml",
        f"--kubeconfig={node.pki}/kubelet.kubeconfig",
        f"--hostname-override={node.name}",
        f"--node-ip={node.block.node}",
    ]
