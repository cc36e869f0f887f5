"""What is written down for the programs of a node."""

import dataclasses
import json
import tomllib
from ipaddress import IPv4Network as Network
from pathlib import Path

import pytest

from dev.cluster import configs, pki, programs
from dev.cluster.addons import dns, metrics
from dev.cluster.addresses import Block

NODE = configs.Node(
    name="dev-node",
    block=Block(Network("198.18.16.0/20")),
    pki=Path("/c/pki"),
    etc=Path("/c/etc"),
    log=Path("/c/log"),
    containerd_major=1,
    runc="/usr/sbin/runc",
    snapshotter="overlayfs",
    bridge_sees_services=True,
    may_raise_limits=False,
    open_files=20000,
    audit=True,
)
FOUND = {
    name: f"/bin/{name}"
    for name in (
        "etcd",
        "containerd",
        "kube-apiserver",
        "kube-controller-manager",
        "kube-scheduler",
        "kubelet",
        "kube-proxy",
    )
}


@pytest.mark.parametrize("major", [1, 2])
def test_containerds_configuration_parses_in_both_layouts(major: int) -> None:
    node = dataclasses.replace(NODE, containerd_major=major, may_raise_limits=True)
    parsed = tomllib.loads(configs.containerd(node))
    assert parsed["version"] == major + 1
    names = {1: "io.containerd.grpc.v1.cri", 2: "io.containerd.cri.v1.runtime"}
    runtime = parsed["plugins"][names[major]]
    assert runtime["restrict_oom_score_adj"] is False
    assert runtime["containerd"]["runtimes"]["runc"]["options"]["BinaryName"] == "/usr/sbin/runc"
    assert configs.PAUSE_IMAGE in configs.containerd(node)


@pytest.mark.parametrize(("sees", "plugin"), [(True, "bridge"), (False, "ptp")])
def test_pods_share_a_bridge_only_where_services_work_across_it(sees: bool, plugin: str) -> None:
    node = dataclasses.replace(NODE, bridge_sees_services=sees)
    first = json.loads(configs.cni(node))["plugins"][0]
    assert first["type"] == plugin
    assert first["ipam"]["ranges"] == [[{"subnet": "198.18.24.0/21"}]]


def test_everything_but_containerds_and_the_resolvers_file_is_json() -> None:
    for name, content in configs.files(NODE).items():
        if not name.endswith((".toml", "resolv.conf")):
            json.loads(content)


def test_no_global_setting_is_asked_of_kube_proxy() -> None:
    conntrack = json.loads(configs.kube_proxy(NODE))["conntrack"]
    assert set(conntrack.values()) == {0, "0s"}


@pytest.mark.parametrize("audit", [True, False])
def test_the_audit_log_is_written_when_asked_for(audit: bool) -> None:
    node = dataclasses.replace(NODE, audit=audit)
    assert any(a == "--audit-log-path=/c/log/audit.log" for a in programs.api_server(node)) is audit
    assert ("audit-policy.yaml" in configs.files(node)) is audit


def test_no_flag_is_given_twice_and_each_has_a_value() -> None:
    for program in programs.all_of(NODE, FOUND):
        flags = [argument for argument in program.command[1:] if "=" in argument]
        names = [flag.split("=")[0] for flag in flags]
        assert len(names) == len(set(names)), program.name
        assert not any(flag.endswith("=") for flag in flags), program.name


def test_what_needs_the_api_server_waits_for_it() -> None:
    waits = {program.name: program.after_api for program in programs.all_of(NODE, FOUND)}
    assert not any(waits[name] for name in ("etcd", "containerd", "kube-apiserver"))
    assert all(waits[name] for name in ("kubelet", "kube-proxy", "kube-scheduler"))


def test_the_api_servers_certificate_names_all_its_addresses() -> None:
    api = next(leaf for leaf in pki.leaves("dev-node", NODE.block) if leaf.name == "apiserver")
    for name in ("IP:127.0.0.1", "IP:198.18.16.2", "IP:198.18.20.1", "DNS:kubernetes.default.svc"):
        assert name in api.names.split(",")


def test_every_leaf_can_be_verified_strictly() -> None:
    for leaf in pki.leaves("dev-node", NODE.block):
        written = pki.extensions(leaf)
        assert "subjectKeyIdentifier" in written
        assert "authorityKeyIdentifier" in written


def test_every_client_has_a_certificate_signed_by_the_clusters_authority() -> None:
    leaves = {leaf.name: leaf for leaf in pki.leaves("dev-node", NODE.block)}
    assert all(leaves[client].authority == "ca" for client in pki.CLIENTS)


def test_the_manifests_have_no_gap_left() -> None:
    assert "198.18.20.10" in dns("198.18.20.10")
    assert "--kubelet-certificate-authority" in metrics(kubelet_ca=True)
    assert "--kubelet-insecure-tls" in metrics(kubelet_ca=False)
    assert "${" not in dns("198.18.20.10") + metrics(kubelet_ca=True)
