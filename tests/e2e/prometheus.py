"""A real Prometheus that finds the cluster's pods by itself and scrapes them."""

import contextlib
import os
import shutil
import signal
import socket
import subprocess
import time
from collections.abc import Iterator
from pathlib import Path

import httpx

CONFIG = """\
global: {{scrape_interval: 1s}}
scrape_configs:
- job_name: pods
  kubernetes_sd_configs:
  - role: pod
    kubeconfig_file: {kubeconfig}
    namespaces: {{names: [{namespace}]}}
  relabel_configs:
  - source_labels: [__meta_kubernetes_pod_annotation_prometheus_io_scrape]
    regex: "true"
    action: keep
  - source_labels: [__address__, __meta_kubernetes_pod_annotation_prometheus_io_port]
    regex: '([^:]+)(?::\\d+)?;(\\d+)'
    replacement: $1:$2
    target_label: __address__
  - source_labels: [__meta_kubernetes_pod_annotation_prometheus_io_path]
    target_label: __metrics_path__
  - {{source_labels: [__meta_kubernetes_pod_name], target_label: pod}}
"""


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
    """One server on loopback."""

    def __init__(self, url: str) -> None:
        self.url = url

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
def scraping(kubeconfig: Path, namespace: str, folder: Path) -> Iterator[Prometheus]:
    """Runs while the block does."""
    config = folder / "prometheus.yaml"
    config.write_text(CONFIG.format(kubeconfig=kubeconfig, namespace=namespace))
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    with (folder / "prometheus.log").open("wb") as log:
        process = subprocess.Popen(
            [
                binary(),
                f"--config.file={config}",
                f"--storage.tsdb.path={folder / 'data'}",
                f"--web.listen-address=127.0.0.1:{port}",
            ],
            stdout=log,
            stderr=subprocess.STDOUT,
        )
    try:
        server = Prometheus(f"http://127.0.0.1:{port}")
        server.until_ready()
        yield server
    finally:
        process.send_signal(signal.SIGTERM)
        process.wait(timeout=30)
