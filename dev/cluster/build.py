"""How do the parts get from source to ``bin/``, once for all starts?

A part is kept under a key of everything it was made from, so a changed version is another
folder and an interrupted build is none. One part is compiled at a time, since the linker of
the largest wants 3 GB; the modules of the next ones arrive meanwhile.
"""

import hashlib
import os
import platform
import re
import shutil
import subprocess
import threading
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path

from dev.cluster import toolchain
from dev.cluster.errors import Refused
from dev.cluster.files import locked
from dev.cluster.folders import PARTS_SOURCE, cache
from dev.cluster.memory import available_memory
from dev.cluster.say import duration, progress, reporting, say


@dataclass(frozen=True)
class Part:
    name: str
    module: str  # whose version is the part's version
    package: str  # what ``go build`` is asked for
    programs: tuple[str, ...]
    version_settings: tuple[str, ...]  # what the linker writes; {v} {major} {minor} are filled in
    usually: int  # seconds, with nothing cached, on two cores
    beside: tuple[str, ...] = ()  # folders of the module that are kept beside the program

    @property
    def source(self) -> Path:
        return PARTS_SOURCE / self.name

    @property
    def version(self) -> str:
        return version_in((self.source / "go.mod").read_text(), self.module)


PARTS = (
    Part(
        "kubernetes",
        "k8s.io/kubernetes",
        ".",
        (
            "etcd",
            "kube-apiserver",
            "kube-controller-manager",
            "kube-scheduler",
            "kubelet",
            "kube-proxy",
            "kubectl",
        ),
        (
            "k8s.io/component-base/version.gitVersion={v}",
            "k8s.io/component-base/version.gitMajor={major}",
            "k8s.io/component-base/version.gitMinor={minor}",
        ),
        540,
    ),
    Part(
        "coredns",
        "github.com/coredns/coredns",
        ".",
        ("coredns",),
        (),
        90,
    ),
    Part(
        "metrics-server",
        "sigs.k8s.io/metrics-server",
        "sigs.k8s.io/metrics-server/cmd/metrics-server",
        ("metrics-server",),
        ("k8s.io/client-go/pkg/version.gitVersion={v}",),
        225,
    ),
    Part(
        "helm",
        "helm.sh/helm/v4",
        "helm.sh/helm/v4/cmd/helm",
        ("helm",),
        ("helm.sh/helm/v4/internal/version.version={v}",),
        210,
    ),
    Part("pause", "", ".", ("pause",), (), 2),
)

# No part of a cluster: the tests of routing.mode Gateway install it into one.
ENVOY_GATEWAY = Part(
    "envoy-gateway",
    "github.com/envoyproxy/gateway",
    "github.com/envoyproxy/gateway/cmd/envoy-gateway",
    ("envoy-gateway",),
    ("github.com/envoyproxy/gateway/internal/cmd/version.envoyGatewayVersion={v}",),
    250,
    beside=("charts",),
)


def version_in(go_mod: str, module: str) -> str:
    """The version that a go.mod requires of a module; empty for a part of our own."""
    if not module:
        return ""
    found = re.search(rf"^\s*(?:require\s+)?{re.escape(module)}\s+(v\S+)", go_mod, re.MULTILINE)
    if not found:
        raise ValueError(f"no version of {module} in its go.mod")
    return found[1]


def linker_settings(part: Part) -> str:
    version = part.version
    major, minor = [*version.lstrip("v").split("."), "", ""][:2]
    filled = [s.format(v=version, major=major, minor=minor) for s in part.version_settings]
    return " ".join(["-s", "-w", *(f"-X {setting}" for setting in filled)])


def key(sources: Mapping[str, bytes], settings: Sequence[str]) -> str:
    """Names what a part is made from. Go counts by its minor version: a patch of Go is no
    reason to compile for ten minutes."""
    digest = hashlib.sha256()
    for name in sorted(sources):
        digest.update(f"{name}\0{len(sources[name])}\0".encode())
        digest.update(sources[name])
    for setting in settings:
        digest.update(f"{setting}\0".encode())
    return digest.hexdigest()[:12]


def part_key(part: Part) -> str:
    files = [*part.source.glob("*.go"), *part.source.glob("go.*")]
    sources = {file.name: file.read_bytes() for file in files}
    settings = [toolchain.MINOR, platform.machine(), part.package, linker_settings(part)]
    return key(sources, settings)


def part_folder(part: Part) -> Path:
    return cache() / "parts" / part.name / part_key(part)


def bin_folder() -> Path:
    return cache() / "bin" / key({}, [f"{part.name}={part_key(part)}" for part in PARTS])


def ready() -> bool:
    return bin_folder().is_dir()


def ensure(*more: Part) -> Path:
    """The folder of all programs of a cluster; compiled first where they are not cached, as is each
    of ``more``, which shares most of its packages with them."""
    folder = bin_folder()
    if ready() and not _missing(more):
        return folder
    with locked(cache() / "parts" / ".lock", "another start compiles the parts"):
        _build((*_missing(PARTS), *_missing(more)))
        if not ready():
            _link_together(folder)
        # 3 GB that only another version of the same parts could use.
        shutil.rmtree(cache() / "go" / "build", ignore_errors=True)
    return folder


def _missing(parts: Sequence[Part]) -> list[Part]:
    return [part for part in parts if not part_folder(part).is_dir()]


def _build(missing: Sequence[Part]) -> None:
    if not missing:
        return
    expected = sum(part.usually for part in missing)
    say(
        f"compiling {', '.join(part.name for part in missing)} (once; usually about "
        f"{duration(expected)} with two cores; kept in {cache()})"
    )
    began = time.monotonic()
    for interrupted in (cache() / "parts").glob("*/.*"):
        shutil.rmtree(interrupted)
    go = toolchain.go()
    arrived = {part.name: threading.Event() for part in missing}
    failures: dict[str, str] = {}

    def fetch_all() -> None:
        for part in missing:
            failed = _fetch_modules(go, part)
            if failed:
                failures[part.name] = failed
            arrived[part.name].set()

    threading.Thread(target=fetch_all, daemon=True).start()
    for part in missing:
        with reporting(partial(progress, f"fetching {part.name}", usually=60)):
            arrived[part.name].wait()
        if part.name in failures:
            raise Refused(
                f"the modules of {part.name} could not be fetched ({failures[part.name]}): "
                "check that the Go module proxy can be reached (GOPROXY), then start again."
            )
        _compile(go, part)
    say(f"compiled in {duration(time.monotonic() - began)}")


def _fetch_modules(go: Path, part: Part) -> str | None:
    done = subprocess.run(
        [go, "mod", "download"],
        cwd=part.source,
        env=toolchain.environment(),
        capture_output=True,
        text=True,
        check=False,
    )
    if done.returncode == 0:
        return None
    return (done.stderr.strip().splitlines() or ["no message"])[-1]


def _compile(go: Path, part: Part) -> None:
    target = part_folder(part)
    target.parent.mkdir(parents=True, exist_ok=True)
    temporary = target.with_name(f".{target.name}.{os.getpid()}")
    temporary.mkdir()
    try:
        total = _count_packages(go, part)
        program = temporary / part.name
        command = [
            str(go), "build", "-v", "-p", str(_jobs()), "-ldflags", linker_settings(part),
            "-o", str(program), part.package,
        ]  # fmt: skip
        compiled = 0
        problems: list[str] = []
        with (
            reporting(
                lambda t: progress(f"compiling {part.name}", t, part.usually, compiled, total)
            ),
            subprocess.Popen(
                command,
                cwd=part.source,
                env=toolchain.environment(),
                stderr=subprocess.PIPE,
                text=True,
            ) as running,
        ):
            assert running.stderr is not None
            for line in running.stderr:
                compiled += 1
                problems = [*problems[-20:], line.rstrip()]
        if running.returncode != 0:
            raise Refused(
                f"compiling {part.name} failed (if it was killed: it wants 4 GB of memory):\n"
                + "\n".join(problems)
            )
        for name in part.beside:
            shutil.copytree(_module_folder(go, part) / name, temporary / name)
        temporary.rename(target)
    finally:
        shutil.rmtree(temporary, ignore_errors=True)


def _module_folder(go: Path, part: Part) -> Path:
    asked = subprocess.run(
        [go, "list", "-m", "-f", "{{.Dir}}", part.module],
        cwd=part.source,
        env=toolchain.environment(),
        capture_output=True,
        text=True,
        check=True,
    )
    return Path(asked.stdout.strip())


def _count_packages(go: Path, part: Part) -> int:
    listed = subprocess.run(
        [go, "list", "-deps", part.package],
        cwd=part.source,
        env=toolchain.environment(),
        capture_output=True,
        text=True,
        check=False,
    )
    return len(listed.stdout.splitlines())


def _jobs() -> int:
    """How many packages at once: each core one, while there is a gigabyte for each."""
    return max(1, min(os.cpu_count() or 1, available_memory() // 1024**3))


def _link_together(folder: Path) -> None:
    folder.parent.mkdir(parents=True, exist_ok=True)
    temporary = folder.with_name(f".{folder.name}.{os.getpid()}")
    shutil.rmtree(temporary, ignore_errors=True)
    temporary.mkdir()
    for part in PARTS:
        # Relative, so that a cache restored elsewhere still works.
        binary = Path("..", "..", "parts", part.name, part_key(part), part.name)
        for program in part.programs:
            (temporary / program).symlink_to(binary)
    temporary.rename(folder)
