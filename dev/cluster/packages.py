"""Which Debian packages does the node need, and how do they get here?

Only what is missing is installed, and one line says so first. Debian's containerd package
starts a containerd of its own on hosts with systemd; the node does not use it.
"""

import os
import shutil
import subprocess
from collections.abc import Mapping, Sequence
from pathlib import Path

from dev.cluster.errors import Refused
from dev.cluster.files import locked
from dev.cluster.folders import cache
from dev.cluster.say import say

# Package -> a file that proves it is there (a program's name, or a path).
NEEDED: Mapping[str, str] = {
    "containerd": "containerd",
    "runc": "runc",
    "containernetworking-plugins": "/usr/lib/cni/bridge",
    "nftables": "nft",
    "iproute2": "ip",
    "conntrack": "conntrack",
    "openssl": "openssl",
    "mount": "mount",
    "util-linux": "unshare",
    "ca-certificates": "/etc/ssl/certs/ca-certificates.crt",
}

# Debian's users often have no sbin on their PATH.
SEARCH_PATH = os.pathsep.join(
    [os.environ.get("PATH", ""), "/usr/local/sbin", "/usr/sbin", "/sbin", "/usr/bin", "/bin"]
)


def program(name: str) -> str | None:
    """Where the program is, or the file if a path is asked for."""
    if name.startswith("/"):
        return name if Path(name).exists() else None
    return shutil.which(name, path=SEARCH_PATH)


def required(name: str) -> str:
    found = program(name)
    if found is None:
        raise Refused(f"{name} is not installed; install it with your system's package manager.")
    return found


def missing() -> list[str]:
    return [package for package, proof in NEEDED.items() if program(proof) is None]


def install_missing() -> None:
    if not missing():
        return
    with locked(cache() / ".apt.lock", "another start installs Debian packages"):
        wanted = missing()
        if wanted:
            say(f"installing Debian packages: {' '.join(wanted)}")
            _install(wanted)


def _install(wanted: Sequence[str]) -> None:
    apt = program("apt-get")
    by_hand = f"install {' '.join(wanted)} by hand, then start again"
    if apt is None:
        raise Refused(f"this is no Debian (there is no apt-get): {by_hand}.")
    environment = {**os.environ, "DEBIAN_FRONTEND": "noninteractive"}
    # A lock held by an unattended upgrade is waited for rather than reported.
    command = [apt, "-o", "DPkg::Lock::Timeout=300", "-q", "-y", "--no-install-recommends"]
    done = subprocess.run([*command, "install", *wanted], env=environment, capture_output=True)
    if done.returncode != 0:
        # Most often the lists are too old, or were never fetched (a slim image has none).
        subprocess.run([*command, "update"], env=environment, capture_output=True)
        done = subprocess.run([*command, "install", *wanted], env=environment, capture_output=True)
    if done.returncode != 0:
        tail = done.stderr.decode(errors="replace").strip().splitlines()[-3:]
        raise Refused(f"apt-get could not install them ({' '.join(tail)}): {by_hand}.")
