"""What does building without a Docker engine need from Debian, and how does it get here?"""

import os
import shutil
from collections.abc import Sequence

from dev.images.errors import Refused
from dev.images.folders import images_folder
from dev.images.run import logged
from dev.images.say import step

_PATH = os.pathsep.join([os.environ.get("PATH", ""), "/usr/sbin", "/sbin"])


def program(name: str) -> str | None:
    return shutil.which(name, path=_PATH)


def need(*names: str) -> None:
    """Install the programs that are missing; each is in a package of its own name."""
    missing = [name for name in names if program(name) is None]
    if not missing:
        return
    wanted = " and ".join(missing)
    apt = program("apt-get")
    if os.geteuid() != 0 or apt is None:
        raise Refused(
            f"no Docker engine answers, and {wanted} is missing: start Docker, or "
            f"(as root on Debian) apt-get install {' '.join(missing)}."
        )
    with step(f"installing {wanted} with apt-get", "15 s"):
        _install(apt, missing)


def _install(apt: str, missing: Sequence[str]) -> None:
    # A lock that another installation holds is waited for.
    command = [apt, "-o", "DPkg::Lock::Timeout=300", "-q", "-y", "--no-install-recommends"]
    environment = {**os.environ, "DEBIAN_FRONTEND": "noninteractive"}
    log = images_folder() / "logs" / "apt.log"
    try:
        logged([*command, "install", *missing], log, environment)
    except Refused:
        # A slim system has no package lists, and an old one has outdated lists.
        logged([*command, "update"], log, environment)
        logged([*command, "install", *missing], log, environment)
