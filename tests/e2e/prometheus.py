"""A real Prometheus that scrapes the cluster's pods."""

import contextlib
import json
import os
import shutil
import signal
import socket
import subprocess
import time
from collections.abc import Iterable, Iterator
from pathlib import Path

import httpx

from tests.e2e.kube import Json

SCRAPE = "prometheus.io/scrape"


def config(targets: Path) -> str:
    """Scrapes what the file says, from the moment that it says so."""
    found = {"files": [str(targets)], "refresh_interval": "1s"}
    job = {"job_name": "pods", "scrape_interval": "1s", "file_sd_configs": [found]}
    return json.dumps({"scrape_configs": [job]})


def targets_of(pods: Iterable[Json]) -> str:
    """The pods whose annotations ask for it, where they say.

    Debian builds Prometheus without the discovery of Kubernetes, so what that would find is read
    from the same annotations here.
    """
    targets = []
    for pod in pods:
        notes = pod["metadata"]["annotations"]
        if notes.get(SCRAPE) == "true":
            targets.append(
                {
                    "targets": [f"{pod['status']['podIP']}:{notes['prometheus.io/port']}"],
                    "labels": {
                        "namespace": pod["metadata"]["namespace"],
                        "pod": pod["metadata"]["name"],
                        "__metrics_path__": notes["prometheus.io/path"],
                    },
                }
            )
    return json.dumps(targets)


def binary() -> Path:
    """Debian's package, unpacked into the cache: nothing is installed on this machine."""
    found = shutil.which("prometheus")
    if found:
        return Path(found)
    base = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache")
    home = base / "modelfleet" / "prometheus"
    program = home / "usr" / "bin" / "prometheus"
    if not program.exists():
        download = home.with_suffix(f".{os.getpid()}")
        download.mkdir(parents=True)
        # As root apt fetches as a user of its own, who cannot write here.
        fetch = ["apt-get", "download", "-o", "APT::Sandbox::User=root", "prometheus"]
        for command in (["apt-get", "update", "-qq"], fetch):
            subprocess.run(command, cwd=download, check=True, capture_output=True)
        (package,) = download.glob("*.deb")
        unpacked = download / "unpacked"
        subprocess.run(["dpkg-deb", "--extract", package, unpacked], check=True)
        with contextlib.suppress(OSError):  # another run was first
            unpacked.rename(home)
        shutil.rmtree(download, ignore_errors=True)
    return program


class Prometheus:
    """One server on this host."""

    def __init__(self, url: str, targets: Path) -> None:
        self.url = url
        self._targets = targets

    def scrape(self, pods: Iterable[Json]) -> None:
        """These pods from now on, and no others."""
        new = self._targets.with_suffix(".new")
        new.write_text(targets_of(pods))
        new.rename(self._targets)

    def query(self, expression: str) -> dict[str, float]:
        """The value by the labels of each series, as `a=b,c=d`."""
        answer = httpx.get(f"{self.url}/api/v1/query", params={"query": expression}).json()
        return {
            ",".join(f"{k}={v}" for k, v in sorted(series["metric"].items())): float(
                series["value"][1]
            )
            for series in answer["data"]["result"]
        }

    def until_ready(self, timeout: float = 30) -> None:
        deadline = time.monotonic() + timeout
        while time.monotonic() < deadline:
            with contextlib.suppress(httpx.TransportError):
                if httpx.get(f"{self.url}/-/ready").status_code == 200:
                    return
            time.sleep(0.1)  # a process that starts has no event to wait for
        raise AssertionError(f"Prometheus was not ready after {timeout} s")

    def until(self, expression: str, value: float, timeout: float = 60) -> None:
        """Returns when the expression has that value: the next scrape has come by."""
        deadline = time.monotonic() + timeout
        while time.monotonic() < deadline:
            found = self.query(expression)
            if list(found.values()) == [value]:
                return
            time.sleep(0.5)  # a scrape has no event to wait for
        raise AssertionError(f"{expression} is {found}, not {value}, after {timeout} s")


@contextlib.contextmanager
def scraping(pods: Iterable[Json], folder: Path, host: str = "127.0.0.1") -> Iterator[Prometheus]:
    """Scrapes these pods while the block runs, and answers on this address of the host."""
    written, targets = folder / "prometheus.yaml", folder / "targets.json"
    written.write_text(config(targets))
    with socket.socket() as probe:
        probe.bind((host, 0))
        port = probe.getsockname()[1]
    with (folder / "prometheus.log").open("wb") as log:
        process = subprocess.Popen(
            [
                binary(),
                f"--config.file={written}",
                f"--storage.tsdb.path={folder / 'data'}",
                f"--web.listen-address={host}:{port}",
            ],
            stdout=log,
            stderr=subprocess.STDOUT,
        )
    try:
        server = Prometheus(f"http://{host}:{port}", targets)
        server.scrape(pods)
        server.until_ready()
        yield server
    finally:
        process.send_signal(signal.SIGTERM)
        process.wait(timeout=30)
