"""How does a node of our own come up and go down? The steps, in order; each has its own file."""

import concurrent.futures
import re
import resource
import shutil
import subprocess
import time
from collections.abc import Callable, Sequence
from dataclasses import asdict
from pathlib import Path

from dev.cluster import addons, addresses, build, configs, host, packages, pki, programs, sandbox
from dev.cluster.access import Access
from dev.cluster.addresses import Block
from dev.cluster.api import Api, condition
from dev.cluster.assets import from_environment
from dev.cluster.errors import Refused
from dev.cluster.files import locked, write_whole
from dev.cluster.folders import ClusterFolder, clusters
from dev.cluster.say import duration, say

# On two busy cores; a start usually takes 15 s.
_PATIENCE = 180.0
# A node that has started keeps its right to live while its API is merely slow: taking a busy
# cluster for a dead one would end somebody's demo.
_SLOW_API = 20.0
_OVERLAY = "overlay"


def check() -> None:
    refused = host.refusal(host.look(build.ready(), bool(packages.missing())))
    if refused:
        raise Refused(refused)


def up(folder: ClusterFolder, audit: bool) -> Access:
    prepare()
    with locked(folder.lock, f"another start or stop of {folder.name}"):
        there = access(folder)
        if there:
            return there
        _clear(folder)
        try:
            return _start(folder, audit)
        except BaseException:
            _clear(folder, keep_logs=True)
            raise


def prepare(*more: build.Part) -> Path:
    """Packages and parts; side by side, because one waits for the network, one for the cores."""
    with concurrent.futures.ThreadPoolExecutor(1) as beside:
        installing = beside.submit(packages.install_missing)
        programs_folder = build.ensure(*more)
        installing.result()
    return programs_folder


def access(folder: ClusterFolder) -> Access | None:
    block = addresses.held(folder)
    if block is None or not folder.kubeconfig.exists() or not sandbox.lives(folder):
        return None
    api = Api(block.node, programs.API_PORT, folder.pki)
    until = time.monotonic() + _SLOW_API
    while not api.ready():
        if time.monotonic() > until or not sandbox.lives(folder):
            return None
        time.sleep(0.2)
    return _access(folder, block)


def down(folder: ClusterFolder) -> None:
    with locked(folder.lock, f"another start or stop of {folder.name}"):
        _clear(folder, keep_logs=True)


def load(folder: ClusterFolder, archives: Sequence[Path]) -> None:
    pid = sandbox.init_pid(folder)
    if pid is None:
        raise Refused(f"the cluster {folder.name!r} is not up: python3 -m dev.cluster up")
    # The node's /run is its own; the kernel shows it below the node's process.
    socket = f"/proc/{pid}/root{configs.CONTAINERD_SOCKET}"
    local = ["--local"] if _containerd_major() >= 2 else []
    for archive in archives:
        command = [
            packages.required("ctr"), "--address", socket, "--namespace", "k8s.io",
            "images", "import", *local, "--snapshotter", _snapshotter(), str(archive.absolute()),
        ]  # fmt: skip
        done = subprocess.run(command, capture_output=True, text=True, check=False)
        if done.returncode != 0:
            raise Refused(
                f"{archive} was not imported ({done.stderr.strip()}): it has to be an OCI or "
                "Docker archive, as buildah push IMAGE oci-archive:FILE:NAME writes it."
            )


def _access(folder: ClusterFolder, block: Block) -> Access:
    return Access(
        kubeconfig=folder.kubeconfig,
        host_ip=block.host,
        node_fs=Path("/"),
        audit_log=folder.audit_log if folder.audit_log.exists() else None,
        component_logs=folder.log,
        node=_node_name(folder),
    )


def _node_name(folder: ClusterFolder) -> str:
    return f"{folder.name}-node"


def _start(folder: ClusterFolder, audit: bool) -> Access:
    began = time.monotonic()
    bin_folder = build.ensure()
    images = [addons.archive(name) for name in ("pause", "coredns", "metrics-server")]
    block = addresses.lease(folder)
    node = _describe(folder, block, audit)
    for name, content in configs.files(node).items():
        write_whole(folder.etc / name, content)
    pki.write(folder.pki, f"modelfleet-{folder.name}", node.name, block)
    found = {entry.name: str(entry) for entry in bin_folder.iterdir()}
    found |= from_environment(build.PARTS[0].version)
    found["containerd"] = packages.required("containerd")
    pipe = sandbox.start(
        folder,
        block,
        node.name,
        [asdict(program) for program in programs.all_of(node, found)],
        programs.API_PORT,
    )
    api = Api(block.node, programs.API_PORT, folder.pki)
    with concurrent.futures.ThreadPoolExecutor(1) as beside:
        importing = beside.submit(_import_first, folder, images)
        _wait(folder, "the API server to answer", api.ready)
        _tell("API server", began)
        content = addons.dns(block.dns_service) + "---\n" + addons.metrics(kubelet_ca=True)
        addons.apply(Path(found["kubectl"]), folder.pki / "admin.kubeconfig", content)
        importing.result()
    _wait_until_usable(folder, api, node.name)
    write_whole(folder.kubeconfig, (folder.pki / "admin.kubeconfig").read_bytes(), 0o600)
    sandbox.started(pipe)
    _tell(f"cluster {folder.name}", began)
    return _access(folder, block)


def _describe(folder: ClusterFolder, block: Block, audit: bool) -> configs.Node:
    hard = resource.getrlimit(resource.RLIMIT_NOFILE)[1]
    return configs.Node(
        name=_node_name(folder),
        block=block,
        pki=folder.pki,
        etc=folder.etc,
        log=folder.log,
        containerd_major=_containerd_major(),
        runc=packages.required("runc"),
        snapshotter=_snapshotter(),
        bridge_sees_services=Path("/proc/sys/net/bridge/bridge-nf-call-iptables").exists(),
        may_raise_limits=host.may_raise_limits(Path("/proc/self/status").read_text()),
        open_files=1_000_000 if hard == resource.RLIM_INFINITY else min(hard, 1_000_000),
        audit=audit,
    )


def _containerd_major() -> int:
    asked = subprocess.run(
        [packages.required("containerd"), "--version"], capture_output=True, text=True, check=False
    )
    found = re.search(r"\bv?(\d+)\.\d+\.\d+", asked.stdout)
    return int(found[1]) if found else 1


def _snapshotter() -> str:
    """overlayfs, but not on top of an overlay (the disk of a container), where it cannot be."""
    clusters().mkdir(parents=True, exist_ok=True)
    asked = subprocess.run(
        ["stat", "--file-system", "--format=%T", str(clusters())],
        capture_output=True,
        text=True,
        check=False,
    )
    return "native" if _OVERLAY in asked.stdout else "overlayfs"


def _import_first(folder: ClusterFolder, images: Sequence[Path]) -> None:
    """containerd needs a moment before its socket is there."""
    pid = sandbox.init_pid(folder)
    socket = Path(f"/proc/{pid}/root{configs.CONTAINERD_SOCKET}")
    _wait(folder, "containerd to answer", socket.exists)
    load(folder, images)


def _wait_until_usable(folder: ClusterFolder, api: Api, node: str) -> None:
    deployments = "/apis/apps/v1/namespaces/kube-system/deployments"
    metrics = "/apis/apiregistration.k8s.io/v1/apiservices/v1beta1.metrics.k8s.io"
    accounts = "/api/v1/namespaces/default/serviceaccounts/default"
    _wait(folder, "the node", lambda: condition(api.read(f"/api/v1/nodes/{node}"), "Ready"))
    _wait(folder, "the service accounts", lambda: bool(api.read(accounts)))
    _wait(folder, "DNS", lambda: condition(api.read(f"{deployments}/coredns"), "Available"))
    _wait(folder, "the metrics API", lambda: condition(api.read(metrics), "Available"))


def _wait(folder: ClusterFolder, for_what: str, there: Callable[[], bool]) -> None:
    until = time.monotonic() + _PATIENCE
    while not there():
        if not sandbox.lives(folder):
            raise Refused(f"the node ended while starting: {folder.log / 'init.log'} says why.")
        if time.monotonic() > until:
            raise Refused(
                f"waited {duration(_PATIENCE)} for {for_what}, in vain: the logs in {folder.log} "
                "say why; then up again."
            )
        time.sleep(0.1)


def _tell(what: str, began: float) -> None:
    say(f"{what} up after {time.monotonic() - began:.1f} s")


def _clear(folder: ClusterFolder, keep_logs: bool = False) -> None:
    """End what runs and remove what lies there. After ``down`` the logs stay until the next
    start: whoever stops a cluster that misbehaved may still want to know why."""
    sandbox.stop(folder)
    addresses.release(folder)
    if not folder.path.exists():
        return
    for entry in folder.path.iterdir():
        if keep_logs and entry == folder.log:
            continue
        if entry.is_dir() and not entry.is_symlink():
            shutil.rmtree(entry, ignore_errors=True)
        else:
            entry.unlink(missing_ok=True)
