"""What do many ModelDeployments cost their pair of routers, and how soon does it follow?

Starts a real cluster with the operator, and as many ModelDeployments behind one pair of routers as
are asked for. Weights of one of them are then changed again and again, idle and under load, and
each change is timed until both routers serve it; a rollout is aborted again and again in the same
way. Callers keep a connection to each of the others meanwhile. Prints the table and writes
results/router.json.
"""

import argparse
import asyncio
import json
import statistics
import sys
import tempfile
import uuid
from collections.abc import Coroutine, Sequence
from contextlib import closing
from dataclasses import asdict
from pathlib import Path

from benchmarks.rollout.ledger import Fate
from benchmarks.rollout.load import Load
from benchmarks.rollout.witness import Listener
from benchmarks.router.fleet import Fleet, Neighbours
from benchmarks.router.follow import Follow, Timed
from dev import images, install
from dev.cluster import Cluster, Refused
from dev.commands import Failed
from modelfleet_operator.cluster.kubeconfig import connect
from tests.e2e.kube import Kube
from tests.e2e.program import Program
from tests.e2e.store import Store

FILE = Path(__file__).resolve().parent.parent / "results" / "router.json"
WEIGHT_BAR_S, ROLLBACK_BAR_S, MEMORY_BAR_MIB = 1.0, 5.0, 6.0


def main(argv: Sequence[str] | None = None) -> int:
    parser = argparse.ArgumentParser(prog="python -m benchmarks.router", description=__doc__)
    parser.add_argument("--deployments", type=int, default=50, help="how many; default 50")
    parser.add_argument("--changes", type=int, default=50, help="of weights; default 50")
    parser.add_argument("--aborts", type=int, default=10, help="of a rollout; default 10")
    parser.add_argument("--rate", type=float, default=200, help="requests/s of the load")
    parser.add_argument("--cluster", default="bench", help="its name; default bench")
    parser.add_argument("--keep", action="store_true", help="leave the cluster up")
    options = parser.parse_args(argv)
    if min(options.deployments, options.changes, options.aborts) < 1 or not options.rate > 0:
        parser.error("all of these are positive numbers")
    try:
        rows = asyncio.run(_measured(options))
    except (Refused, images.Refused, Failed) as error:
        print(f"bench-router: {error}", file=sys.stderr)
        return 1
    FILE.parent.mkdir(parents=True, exist_ok=True)
    FILE.write_text(json.dumps(rows, indent=1) + "\n")
    missed = [row["what"] for row in rows if row["met"] is False]
    print(f"\n{FILE}" + (f"; missed: {', '.join(map(str, missed))}" if missed else ""))
    return 0


async def _measured(options: argparse.Namespace) -> list[dict[str, object]]:
    cluster = Cluster.up(options.cluster)
    tools = install.Tools(cluster.kubectl, cluster.helm, cluster.kubeconfig)
    install.install(tools, install.place(cluster, images.build(flavor="onnx")))
    kube = Kube(Program(tools.kubectl_command()))
    namespace = f"routers-{uuid.uuid4().hex[:5]}"
    kube.kubectl("create", "namespace", namespace)
    try:
        with (
            tempfile.TemporaryDirectory() as folder,
            closing(Store(cluster.host_ip, Path(folder))) as store,
            closing(Listener(cluster.host_ip)) as listener,
        ):
            return await _rows(Fleet(cluster, kube, store, listener, namespace), options)
    finally:
        kube.kubectl("delete", "namespace", namespace, "--wait=false")
        if not options.keep:
            cluster.down()


async def _rows(fleet: Fleet, options: argparse.Namespace) -> list[dict[str, object]]:
    rows: list[dict[str, object]] = []

    def tell(
        what: str, says: str, bar: str = "", *, met: bool | None = None, **more: object
    ) -> None:
        print(f"{what:44} {says:52} {bar}", flush=True)
        rows.append({"what": what, "says": says, "bar": bar, "met": met, **more})

    fleet.measured()
    one = fleet.memory_mib()
    tell("a router with one ModelDeployment", f"{max(one):.1f} MiB", mib=one)
    fleet.others(options.deployments - 1)
    many = fleet.memory_mib()
    each = (max(many) - max(one)) / max(1, options.deployments - 1)
    pair = sum(many) / options.deployments
    tell(f"a router with {options.deployments}", f"{max(many):.1f} MiB", mib=many)
    tell(
        "the pair, for each ModelDeployment",
        f"{pair:.2f} MiB with its base, {2 * each:.2f} MiB for one more",
        f"under {MEMORY_BAR_MIB:g} MiB",
        met=pair < MEMORY_BAR_MIB,
        mib=pair,
    )
    api, _ = await connect(str(fleet.cluster.kubeconfig), None, "bench-router")
    neighbours = Neighbours(fleet.addresses())
    await neighbours.connect()
    try:
        follow = Follow(api, fleet)
        for loaded in (False, True):
            when = f"under {options.rate:g} requests/s" if loaded else "idle"
            timed = await _under(loaded, fleet, options.rate, follow.weights(options.changes))
            worst = max(each.written_s for each in timed)
            tell(
                f"a weight that is written, {when}",
                _said([each.written_s for each in timed], "until both routers serve it"),
                f"worst under {WEIGHT_BAR_S:g} s",
                met=worst < WEIGHT_BAR_S,
                times=[asdict(each) for each in timed],
            )
            tell(f"from the change of the spec, {when}", _said([each.asked_s for each in timed]))
        aborted = await follow.aborts(options.aborts)
        tell(
            "from an abort until the stable one has all",
            _said([each.asked_s for each in aborted]),
            f"worst under {ROLLBACK_BAR_S:g} s",
            met=max(each.asked_s for each in aborted) < ROLLBACK_BAR_S,
            times=[asdict(each) for each in aborted],
        )
        closed = await neighbours.closed()
        tell(
            "connections of the others that were closed",
            f"{closed} of {neighbours.count}",
            "none",
            met=not closed,
        )
    finally:
        neighbours.close()
        await api.close()
    return rows


async def _under(
    loaded: bool, fleet: Fleet, rate: float, work: Coroutine[None, None, list[Timed]]
) -> list[Timed]:
    if not loaded:
        return await work
    with Load(fleet.address(fleet.name), fleet.name, rate) as load:
        done = await work
    lost = load.ledger.count(Fate.LOST)
    print(f"{'':44} {load.ledger.sent:,} requests, {lost} lost", flush=True)
    return done


def _said(seconds: Sequence[float], until: str = "") -> str:
    middle, worst = statistics.median(seconds), max(seconds)
    return f"median {middle:.2f} s, worst of {len(seconds)} {worst:.2f} s {until}".strip()


if __name__ == "__main__":
    sys.exit(main())
