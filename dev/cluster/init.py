"""What is the node from inside? Process 1 of its namespaces: it builds the world and starts it.

``sandbox.py`` starts this in new namespaces and describes the node in run.json. Everything
here is private to those namespaces; when this process ends, the kernel ends all others of the
node, and takes mounts, interfaces, routes and rules away with them.

Two things tie it to the tool outside:

- a lock held for life on ``alive.lock`` says that the node lives, whoever asks;
- the pipe on stdin: if it closes before the word that the start succeeded, the tool was
  killed, and a half-started node ends itself.
"""

import contextlib
import ctypes
import fcntl
import json
import os
import resource
import select
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

from dev.cluster.api import Api
from dev.cluster.files import read_json, write_whole
from dev.cluster.folders import ClusterFolder

STARTED = b"started"
WIRE = "node0"
_CLONE_NEWCGROUP = 0x02000000
# The node's own copies of what would else be the host's.
PRIVATE_FOLDERS = (
    "/var/lib/kubelet",
    "/var/lib/containerd",
    "/var/lib/etcd",
    "/var/lib/cni",
    "/var/log",
)
# The kubelet insists on these and they hold for the whole machine: it gets files to write to,
# which already say what it wants to hear.
SHADOWED_SETTINGS = {
    "vm/overcommit_memory": "1",
    "vm/panic_on_oom": "0",
    "kernel/panic": "10",
    "kernel/panic_on_oops": "1",
    "kernel/keys/root_maxkeys": "1000000",
    "kernel/keys/root_maxbytes": "25000000",
}


def main(path: Path, run_id: str) -> None:
    folder = ClusterFolder(path.name, path)
    with folder.alive.open("w") as alive:
        fcntl.flock(alive, fcntl.LOCK_EX)
        run = read_json(folder.run)
        if run is None or run["id"] != run_id:
            return  # ``down`` was faster
        _tell_pid(folder)
        _enter_cgroups([Path(p) for p in run["cgroups"]])
        _build_world(folder, run)
        _live(folder, run)


def _tell_pid(folder: ClusterFolder) -> None:
    """/proc is still the host's, so it knows this process by the number that the host uses."""
    pid = int(os.readlink("/proc/self"))
    write_whole(folder.init, json.dumps({"pid": pid, "start": start_time(pid)}))


def start_time(pid: int) -> int | None:
    """When the process began, in ticks since boot: with the number, its identity. None: gone."""
    try:
        stat = Path(f"/proc/{pid}/stat").read_text()
    except (FileNotFoundError, ProcessLookupError):
        return None
    # The name in parentheses may hold spaces; what follows it is regular.
    return int(stat.rpartition(")")[2].split()[19])


def _enter_cgroups(folders: list[Path]) -> None:
    for folder in folders:
        (folder / "cgroup.procs").write_text("0")  # 0 is whoever writes
    libc = ctypes.CDLL(None, use_errno=True)
    if libc.unshare(_CLONE_NEWCGROUP) != 0:
        raise OSError(ctypes.get_errno(), "unshare(CLONE_NEWCGROUP)")


def _build_world(folder: ClusterFolder, run: dict[str, Any]) -> None:
    # Shared among the node's own mounts (volumes have to reach pods), not with the host's.
    _run("mount", "--make-rshared", "/")
    _run("hostname", run["node"])
    _run("mount", "-t", "proc", "-o", "nosuid,nodev,noexec", "proc", "/proc")
    _run("mount", "-t", "sysfs", "-o", "nosuid,nodev,noexec", "sysfs", "/sys")
    _mount_cgroups(run["hierarchies"])
    _run("mount", "-t", "tmpfs", "-o", "mode=755", "tmpfs", "/run")
    Path("/run/lock").mkdir()
    for private in PRIVATE_FOLDERS:
        # The pods' logs outlive the node, beside those of its programs.
        own = folder.log / "node" if private == "/var/log" else Path(f"{folder.disk}{private}")
        own.mkdir(parents=True, exist_ok=True)
        Path(private).mkdir(parents=True, exist_ok=True)
        _run("mount", "--bind", str(own), private)
    for name, value in SHADOWED_SETTINGS.items():
        setting = Path("/proc/sys", name)
        if setting.exists():
            shadow = folder.disk / "settings" / name
            write_whole(shadow, value + "\n")
            _run("mount", "--bind", str(shadow), str(setting))
    _run("mount", "--make-rshared", "/")
    _run("ip", "link", "set", "lo", "up")
    for setting, value in run["settings"].items():
        path = Path("/proc/sys", setting)
        if path.exists():
            path.write_text(value)
    hard = resource.getrlimit(resource.RLIMIT_NOFILE)[1]
    resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))


def _mount_cgroups(hierarchies: list[dict[str, Any]]) -> None:
    top = Path("/sys/fs/cgroup")
    if hierarchies[0]["version"] == 2:
        _run("mount", "-t", "cgroup2", "-o", "nosuid,nodev,noexec", "cgroup2", str(top))
        # A cgroup with processes cannot hand on controllers, so this process steps aside.
        (top / "init").mkdir(exist_ok=True)
        (top / "init" / "cgroup.procs").write_text("0")
        for controller in (top / "cgroup.controllers").read_text().split():
            with contextlib.suppress(OSError):
                (top / "cgroup.subtree_control").write_text(f"+{controller}")
        return
    _run("mount", "-t", "tmpfs", "-o", "mode=755", "tmpfs", str(top))
    for hierarchy in hierarchies:
        names = hierarchy["controllers"]
        place = top / hierarchy["folder"]
        place.mkdir()
        # One that has no controllers (systemd's) is mounted by its name alone.
        options = ",".join(["none", *names] if names[0].startswith("name=") else names)
        _run("mount", "-t", "cgroup", "-o", options, "cgroup", str(place))
        for name in names:
            if name != hierarchy["folder"] and not name.startswith("name="):
                (top / name).symlink_to(hierarchy["folder"])


def _live(folder: ClusterFolder, run: dict[str, Any]) -> None:
    running: dict[int, dict[str, Any]] = {}
    api = Api("127.0.0.1", run["api"], folder.pki)

    def start(program: dict[str, Any]) -> None:
        with (folder.log / f"{program['name']}.log").open("ab") as log:
            child = subprocess.Popen(
                program["command"],
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                env=run["environment"],
                cwd="/",
            )
        running[child.pid] = program
        child.returncode = 0  # it is waited for below, by number

    for program in run["programs"]:
        if not program["after_api"]:
            start(program)
    _wire_up(run["wire_address"], run["services"])
    waiting = [p for p in run["programs"] if p["after_api"]]
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(0))
    starting = True
    again: list[tuple[float, dict[str, Any]]] = []
    while True:
        if starting:
            starting = _still_starting()
        else:
            time.sleep(0.2)
        if waiting and api.ready():
            for program in waiting:
                start(program)
            waiting = []
        for pid, status in _ended():
            if ended := running.pop(pid, None):
                print(f"{ended['name']} ended ({status}); it starts again", flush=True)
                again.append((time.monotonic() + 1.0, ended))
        for due, program in [a for a in again if a[0] <= time.monotonic()]:
            again.remove((due, program))
            start(program)


def _still_starting() -> bool:
    """Whether the tool has yet to say that the start succeeded; exits if it was killed."""
    readable, _, _ = select.select([0], [], [], 0.1)
    if not readable:
        return True
    if os.read(0, 64).startswith(STARTED):
        return False
    print("the tool ended during the start; the node ends too", flush=True)
    sys.exit(1)


def _wire_up(address: str, services: str) -> None:
    """The tool lays the wire from outside; it arrives when it arrives."""
    for _ in range(400):
        if Path("/sys/class/net", WIRE).exists():
            break
        time.sleep(0.025)
        _still_starting_quick()
    _run("ip", "address", "add", address, "dev", WIRE)
    _run("ip", "link", "set", WIRE, "up")
    # The node's own programs call Services too (the API server calls metrics). A packet needs some
    # route before kube-proxy's rules may turn it to a pod, and there is no default one.
    own = address.partition("/")[0]
    _run("ip", "route", "add", services, "dev", WIRE, "src", own)


def _still_starting_quick() -> None:
    if select.select([0], [], [], 0)[0]:
        print("the tool ended before the wire was there", flush=True)
        sys.exit(1)


def _ended() -> list[tuple[int, int]]:
    """Children that ended: ours, and the orphans that process 1 inherits."""
    ended: list[tuple[int, int]] = []
    while True:
        try:
            pid, status = os.waitpid(-1, os.WNOHANG)
        except ChildProcessError:
            return ended
        if pid == 0:
            return ended
        ended.append((pid, os.waitstatus_to_exitcode(status)))


def _run(*command: str) -> None:
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    if done.returncode != 0:
        print(f"{' '.join(command)}: {done.stderr.strip()}", flush=True)
        sys.exit(1)
