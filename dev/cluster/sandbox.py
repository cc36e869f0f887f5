"""How does the host start and end a node, and what does it ever hold of one?

Three things: the process tree behind ``unshare``, one end of the wire (a veth) with two
routes through it, and empty cgroups once the processes are gone. The wire and the routes
vanish with the node's network namespace, so ending process 1 is nearly all of ``down``.

No process is ended by its name: process 1 is known by number and start time, and whatever
may be left is known by being in the node's own cgroups.
"""

import json
import os
import signal
import subprocess
import sys
import time
import uuid
from pathlib import Path
from typing import IO, Any

from dev.cluster import cgroups, init
from dev.cluster.addresses import Block
from dev.cluster.errors import Refused
from dev.cluster.files import is_locked, read_json, write_whole
from dev.cluster.folders import REPOSITORY, ClusterFolder
from dev.cluster.packages import SEARCH_PATH, required

# Not -m: the package imports init, and Python would then hold two of it.
_PROCESS_1 = """\
import pathlib, sys
from dev.cluster import init
init.main(pathlib.Path(sys.argv[1]), sys.argv[2])
"""
_NAMESPACES = ("--mount", "--net", "--pid", "--ipc", "--uts")


def wire_name(folder: ClusterFolder) -> str:
    """The host's end. Interface names have 15 letters at most."""
    return f"mf-{folder.tag}"


def lives(folder: ClusterFolder) -> bool:
    return is_locked(folder.alive)


def init_pid(folder: ClusterFolder) -> int | None:
    """Process 1's number on the host, if that is still the process we started."""
    told = read_json(folder.init)
    if told and told["start"] is not None and init.start_time(told["pid"]) == told["start"]:
        return int(told["pid"])
    return None


def start(
    folder: ClusterFolder, block: Block, node: str, programs: list[dict[str, Any]], api: int
) -> IO[bytes]:
    """Start the node; returns the pipe into which ``started`` says that all went well."""
    run_id = uuid.uuid4().hex
    own = cgroups.plan(f"modelfleet-{folder.name}-{folder.tag}")
    described = {
        "id": run_id,
        "node": node,
        "cgroups": [str(path) for path in own],
        "switched": [],
        "hierarchies": cgroups.described(),
        "wire_address": f"{block.node}/{block.wire.prefixlen}",
        "services": str(block.services),
        "settings": {
            "net/ipv4/ip_forward": "1",
            "net/bridge/bridge-nf-call-iptables": "1",
        },
        "environment": {"PATH": SEARCH_PATH, "HOME": "/root", "LANG": "C.UTF-8"},
        "programs": programs,
        "api": api,
    }
    # Written before anything is made, so that ``down`` knows where to look whatever happens.
    write_whole(folder.run, json.dumps(described, indent=1))
    switched = cgroups.create(own)
    if switched:
        write_whole(folder.run, json.dumps({**described, "switched": switched}, indent=1))
    pipe = _spawn(folder, run_id)
    _lay_wire(folder, block, _wait_for_init(folder))
    return pipe


def started(pipe: IO[bytes]) -> None:
    pipe.write(init.STARTED)
    pipe.close()


def stop(folder: ClusterFolder) -> None:
    """End the node and remove what is left of it. Safe to repeat, and on half a node."""
    ended = folder.run.with_suffix(".ended")
    if folder.run.exists():
        # An init that has not read its description yet finds none and leaves by itself.
        folder.run.rename(ended)
    run = read_json(ended) or {}
    own = [Path(path) for path in run.get("cgroups", [])]
    until = time.monotonic() + 10
    while lives(folder) or cgroups.processes(own):
        pid = init_pid(folder)
        if pid is not None:
            _kill(pid)
        else:
            for stray in cgroups.processes(own):
                _kill(stray)
        if time.monotonic() > until:
            raise Refused(
                f"the node of {folder.name!r} does not end (processes "
                f"{sorted(cgroups.processes(own))}): look at {folder.log}, end them, repeat down."
            )
        time.sleep(0.02)
    if Path("/sys/class/net", wire_name(folder)).exists():
        # The kernel takes a namespace apart a little after its last process.
        subprocess.run(
            [required("ip"), "link", "delete", wire_name(folder)], capture_output=True, check=False
        )
    left = cgroups.remove(own, run.get("switched", []))
    if left:
        raise Refused(f"these cgroups would not go: {', '.join(map(str, left))}; repeat down.")
    folder.init.unlink(missing_ok=True)
    ended.unlink(missing_ok=True)


def _spawn(folder: ClusterFolder, run_id: str) -> IO[bytes]:
    folder.log.mkdir(parents=True, exist_ok=True)
    command = [
        required("unshare"), *_NAMESPACES, "--fork", "--kill-child",
        sys.executable, "-c", _PROCESS_1, str(folder.path), run_id,
    ]  # fmt: skip
    with (folder.log / "init.log").open("ab") as log:
        running = subprocess.Popen(
            command,
            stdin=subprocess.PIPE,
            stdout=log,
            stderr=log,
            cwd="/",
            # Ctrl-C is for the tool, not for the node.
            start_new_session=True,
            env={
                "PATH": SEARCH_PATH,
                "HOME": "/root",
                "LANG": "C.UTF-8",
                "PYTHONPATH": str(REPOSITORY),
                "PYTHONDONTWRITEBYTECODE": "1",
            },
        )
    assert running.stdin is not None
    running.returncode = 0  # it outlives us on purpose; Python need not warn of it
    return running.stdin


def _wait_for_init(folder: ClusterFolder) -> int:
    for _ in range(400):
        pid = init_pid(folder)
        if pid is not None:
            return pid
        time.sleep(0.025)
    raise Refused(f"the node did not start: {folder.log / 'init.log'} says why.")


def _lay_wire(folder: ClusterFolder, block: Block, pid: int) -> None:
    name = wire_name(folder)
    ip = required("ip")
    steps = [
        ["link", "add", name, "type", "veth", "peer", "name", init.WIRE, "netns", str(pid)],
        ["address", "add", f"{block.host}/{block.wire.prefixlen}", "dev", name],
        ["link", "set", name, "up"],
        ["route", "add", str(block.pods), "via", block.node, "dev", name],
        ["route", "add", str(block.services), "via", block.node, "dev", name],
    ]
    for step in steps:
        done = subprocess.run([ip, *step], capture_output=True, text=True, check=False)
        if done.returncode != 0:
            raise Refused(
                f"the node cannot be wired to the host (ip {' '.join(step)}: "
                f"{done.stderr.strip()}); {folder.log / 'init.log'} may say more."
            )


def _kill(pid: int) -> None:
    try:
        os.kill(pid, signal.SIGKILL)
    except ProcessLookupError:
        return
