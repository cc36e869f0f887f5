"""What every peer is."""

import os
import shutil
import subprocess
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path

from benchmarks.runtime import wire
from benchmarks.runtime.models import Bench, cache
from benchmarks.runtime.wire import Wire

SERVE = Path(__file__).resolve().parent.parent / "serve"
ONNXRUNTIME = "onnxruntime==1.32.0"


@dataclass(frozen=True)
class Peer:
    """One server."""

    name: str
    requires: tuple[str, ...]
    """For an environment of its own."""
    command: Callable[["Peer", Bench, int, Path], list[str]]
    """How it is started for a model, on a port, with a folder to write into."""
    wires: Mapping[str, Callable[[Bench], Wire]]
    """By protocol; the first is what its users would send for speed."""
    settings: str = ""
    """Its batching, in its own words."""
    restarts: bool = True
    """Whether several starts in a row go well."""
    environment: Mapping[str, str] = field(default_factory=dict)
    source: str = ""
    """The package that is built anew each time, from this repository."""

    @property
    def python(self) -> Path:
        return cache() / "env" / self.name / "bin" / "python"

    def install(self) -> None:
        """Raises `subprocess.CalledProcessError`.

        Files are copied, so that no server's pages are another's too and its memory looks smaller
        than it is. Linked is only torch, which takes gigabytes: one server of a run has it.
        """
        folder = self.python.parent.parent
        done = folder / ".requires"
        torch = any("torch==" in one or "-torch]" in one for one in self.requires)
        link = "--link-mode=" + ("hardlink" if torch else "copy")
        # Its programs name the interpreter by its path: an environment that was moved is made anew.
        wanted = "\n".join((str(folder), link, *self.requires))
        uv = shutil.which("uv") or str(cache().parent / "uv" / "bin" / "uv")
        if not done.exists() or done.read_text() != wanted:
            print(f"  installing {self.name}", flush=True)
            _run(uv, "venv", "-q", "--clear", "--python", "3.11", str(folder))
            _run(uv, "pip", "install", "-q", link, "-p", str(self.python), *self.requires)
            done.write_text(wanted)
        elif self.source:
            anew = ["--refresh-package", self.source, "--reinstall-package", self.source]
            _run(uv, "pip", "install", "-q", link, "-p", str(self.python), *anew, *self.requires)

    def env(self, bench: Bench, folder: Path) -> dict[str, str]:
        return {
            **os.environ,
            "TMPDIR": str(folder),  # what one leaves behind is no other's
            "PATH": f"{self.python.parent}:{os.environ['PATH']}",
            "PYTHONPATH": str(SERVE),
            "BENCH_MODEL": bench.name,
            "BENCH_FOLDER": str(bench.folder),
            "BENCH_CODE": str(SERVE),
            "BENCH_THREADS": str(bench.threads),
            "OMP_NUM_THREADS": str(bench.threads),
            **self.environment,
        }


def _run(*command: str) -> None:
    subprocess.run(command, check=True)


def script(name: str) -> Callable[[Peer, Bench, int, Path], list[str]]:
    """A server that is a file in `serve/` and takes its port as an argument."""
    return lambda peer, bench, port, folder: [str(peer.python), str(SERVE / name), str(port)]


def raw(path: str) -> Callable[[Bench], Wire]:
    return lambda bench: wire.raw(path, bench.requests)
