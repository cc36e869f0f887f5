"""Which of the programs in KUBEBUILDER_ASSETS serve? Who has them need not use ours.

Only etcd, the API server and kubectl are ever there; the rest of a node is ours in any case.
"""

import os
import subprocess
from collections.abc import Mapping
from pathlib import Path

from dev.cluster.say import say

OFFERED = ("etcd", "kube-apiserver", "kubectl")
_VERSION = {
    "etcd": ["--version"],
    "kube-apiserver": ["--version"],
    "kubectl": ["version", "--client"],
}


def serving(version: str, reported: Mapping[str, str]) -> list[str]:
    """The API server and kubectl of our own minor version, because the kubelet must not be newer
    than its API server; and any etcd. ``reported``: program -> what it says of itself."""
    minor = ".".join(version.split(".")[:2]) + "."
    return [
        name
        for name in OFFERED
        if (said := reported.get(name)) and (name == "etcd" or minor in said)
    ]


def from_environment(version: str) -> dict[str, str]:
    """Program -> file, for those that serve; one line says what is used and what is not."""
    named = os.environ.get("KUBEBUILDER_ASSETS")
    if not named:
        return {}
    folder = Path(named).absolute()
    used = serving(version, {name: _ask(folder / name, name) for name in OFFERED})
    unused = [name for name in OFFERED if name not in used]
    say(f"KUBEBUILDER_ASSETS: using {', '.join(used) or 'nothing'}")
    if unused:
        say(f"KUBEBUILDER_ASSETS: not {', '.join(unused)}: absent, or not of {version}'s minor")
    return {name: str(folder / name) for name in used}


def _ask(program: Path, name: str) -> str:
    try:
        done = subprocess.run(
            [program, *_VERSION[name]], capture_output=True, text=True, check=False, timeout=20
        )
    except (OSError, subprocess.TimeoutExpired):
        return ""
    return done.stdout if done.returncode == 0 else ""
