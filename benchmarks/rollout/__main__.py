"""What do callers lose while a model is rolled out, killed, or left without its cluster?

Starts a real cluster, installs the operator, sends requests at a fixed rate to a ModelDeployment
behind routers, and does to it what the table lists. Prints the table and writes
results/rollout.json. docs/benchmark-rollout.md says how to read it.
"""

import argparse
import json
import re
import sys
import tempfile
import traceback
import uuid
from collections.abc import Iterable, Iterator, Sequence
from contextlib import closing, contextmanager
from dataclasses import asdict
from itertools import chain
from pathlib import Path

from benchmarks.rollout.causes import CAUSES, again_and_again
from benchmarks.rollout.row import Row, head, line
from benchmarks.rollout.stage import Stage, World
from benchmarks.rollout.witness import Listener, Witness
from dev import images, install
from dev.cluster import Cluster, Refused
from dev.commands import Failed
from tests.e2e.kube import Kube
from tests.e2e.program import Program
from tests.e2e.store import Store

AGAIN, MOST_AGAIN = "promotions and aborts", 30
FILE = Path(__file__).resolve().parent.parent / "results" / "rollout.json"


def main(argv: Sequence[str] | None = None) -> int:
    parser = argparse.ArgumentParser(
        prog="python -m benchmarks.rollout",
        description=__doc__,
        epilog="causes: " + ", ".join(CAUSES),
    )
    parser.add_argument("--causes", default="", help="parts of their names, by commas; default all")
    parser.add_argument("--rate", type=float, default=400, help="requests a second; default 400")
    parser.add_argument(
        "--least",
        type=int,
        default=0,
        help="add rows of promotions and aborts until there were so many requests; default 0",
    )
    parser.add_argument("--cluster", default="bench", help="its name; default bench")
    parser.add_argument("--keep", action="store_true", help="leave the cluster up")
    parser.add_argument("--strict", action="store_true", help="exit with 1 where one was lost")
    options = parser.parse_args(argv)
    chosen = _chosen(options.causes)
    if not chosen:
        parser.error(f"no cause is called {options.causes!r}; there are: {', '.join(CAUSES)}")
    if not options.rate > 0:
        parser.error("the rate is a positive number of requests a second, like 400")

    rows: list[Row] = []
    missing: list[str] = []
    try:
        with _world(options.cluster, options.rate, options.keep) as world:
            print(head(), flush=True)
            more = _more(rows, options.least)
            for row, cause in _played(world, chain(chosen, more)):
                if row is None:
                    missing.append(cause)
                    continue
                print(line(row), flush=True)
                rows.append(row)
                FILE.parent.mkdir(parents=True, exist_ok=True)
                FILE.write_text(json.dumps([asdict(row) for row in rows], indent=1) + "\n")
    except (Refused, images.Refused, Failed) as error:
        print(f"bench-rollout: {error}", file=sys.stderr)
        return 1
    lost = sum(row.lost for row in rows)
    print(f"\n{sum(row.sent for row in rows):,} requests, {lost:,} lost; {FILE}")
    if missing:
        print(f"without a row, see above: {', '.join(missing)}")
    return 1 if missing or (lost and options.strict) else 0


def _chosen(words: str) -> list[str]:
    asked = [word.strip().lower() for word in words.split(",") if word.strip()]
    return [name for name in CAUSES if not asked or any(word in name.lower() for word in asked)]


def _more(rows: Sequence[Row], least: int) -> Iterator[str]:
    """Looked at when the rows before are there."""
    for number in range(1, MOST_AGAIN + 1):
        if sum(row.sent for row in rows) >= least:
            return
        yield f"{AGAIN}, {number}"


def _played(world: World, causes: Iterable[str]) -> Iterator[tuple[Row | None, str]]:
    """A row for each; None where it could not be played to its end."""
    before: Stage | None = None
    for number, cause in enumerate(causes, start=1):
        words = re.sub(r"[^a-z0-9]+", "-", cause.lower())[:24].strip("-")
        stage = Stage(world, f"{words}-{number}")
        stage.apply(Witness(1))
        stage.until_ready()
        if before is not None:
            before.remove()
        before = stage
        try:
            yield stage.under_load(cause, CAUSES.get(cause, again_and_again)), cause
        except (AssertionError, TimeoutError, ValueError):
            traceback.print_exc()
            yield None, cause


@contextmanager
def _world(name: str, rate: float, keep: bool) -> Iterator[World]:
    cluster = Cluster.up(name)
    tools = install.Tools(cluster.kubectl, cluster.helm, cluster.kubeconfig)
    install.install(tools, install.place(cluster, images.build(flavor="onnx")))
    kubectl = Program(tools.kubectl_command())
    namespace = f"rollout-{uuid.uuid4().hex[:5]}"
    kubectl("create", "namespace", namespace)
    try:
        with (
            tempfile.TemporaryDirectory() as folder,
            closing(Store(cluster.host_ip, Path(folder))) as store,
            closing(Listener(cluster.host_ip)) as listener,
        ):
            yield World(cluster, Kube(kubectl), store, listener, namespace, rate)
    finally:
        if keep:
            kubectl("delete", "namespace", namespace, "--wait=false")
        else:
            cluster.down()


if __name__ == "__main__":
    sys.exit(main())
