"""The runtime against its peers.

Each server is started in an environment of its own with the same model, and asked the same tensors
by the same load generator; every answer of a first pass is compared with the model's. The servers
take turns within each round, and a round's order is the reverse of the one before; those that are
not measured are halted. Printed are medians over the rounds, and ratios round by round.

    python -m benchmarks.runtime
    python -m benchmarks.runtime --peers mosec,triton --models linear --rounds 3
"""

import argparse
import contextlib
import os
import socket
import subprocess
import sys
import time
from collections.abc import Sequence
from pathlib import Path

from benchmarks.runtime import bars, grpc_load, load, overload, picture, table
from benchmarks.runtime.load import Load
from benchmarks.runtime.models import NAMES, Bench, cache, make
from benchmarks.runtime.peers.mlserver import MLSERVER
from benchmarks.runtime.peers.others import BENTOML, LITSERVE, MOSEC, RAY
from benchmarks.runtime.peers.ours import MODELFLEET
from benchmarks.runtime.peers.peer import Peer
from benchmarks.runtime.peers.torchserve import TORCHSERVE
from benchmarks.runtime.peers.triton import TRITON
from benchmarks.runtime.results import FILE, Key, Results
from benchmarks.runtime.server import Failed, Running, running

PEERS = (MODELFLEET, TRITON, TORCHSERVE, MOSEC, LITSERVE, MLSERVER, BENTOML, RAY)
SECONDS = {"encoder": 4.0}
"""Of one measurement; else those of --seconds. Few requests go through the encoder in one."""
ONLY_FIRST = frozenset({"cnn", "encoder", "python"})
"""Models for which each server is measured by its quickest protocol only."""


def main(argv: Sequence[str] | None = None) -> int:
    options = _options(argv)
    began = time.monotonic()
    results = Results()
    chosen = [peer for peer in PEERS if peer.name in options.peers]
    ready = []
    for peer in chosen:
        try:
            peer.install()
            ready.append(peer)
        except subprocess.CalledProcessError:
            results.notes.append(f"{peer.name} could not be installed")
    progress = _Progress(options, len(ready))
    for name in options.models:
        _model(make(name), ready, options, results, progress)
    print(table.tables(results))
    verdicts = bars.judge(results)
    if not options.no_extra and MODELFLEET in ready:
        verdicts += overload.judge(MODELFLEET, options.extra_seconds)
    print("\n" + table.bars(verdicts))
    for note in results.notes:
        print(f"note: {note}")
    results.write()
    if not options.no_picture:
        picture.draw(results)
        print(f"\ndrawn: {os.path.relpath(picture.FILE)}")
    print(f"written: {os.path.relpath(FILE)}   ({(time.monotonic() - began) / 60:.1f} min)")
    missed = any(verdict.met is False for verdict in verdicts)
    return 1 if missed and options.strict else 0


def _model(
    bench: Bench,
    peers: list[Peer],
    options: argparse.Namespace,
    results: Results,
    progress: "_Progress",
) -> None:
    with contextlib.ExitStack() as stack:
        servers: list[tuple[Running, str, Path]] = []
        for peer in peers:
            where = peer.name, bench.name
            try:
                server = stack.enter_context(running(peer, bench, _free_ports()))
                wires = list(peer.wires.items())[: 1 if bench.name in ONLY_FIRST else None]
                scripts = []
                for protocol, wire in wires:
                    made = wire(bench)
                    server.check(made)
                    folder = server.folder / protocol
                    folder.mkdir()
                    if protocol == "grpc":
                        file = folder / "body"
                        file.write_bytes(made.bodies[0])
                    else:
                        file = load.script(made, folder)
                    scripts.append((protocol, file))
                    _load(protocol, file, server.port, 64, 1)  # until it is warm
                results.starts[where].append(server.start_s)
                results.pss[where] = server.pss_mb()
                server.halt()
                servers += [(server, protocol, file) for protocol, file in scripts]
                progress.say(f"{bench.name}: {peer.name} answers, after {server.start_s:.1f} s")
            except (Failed, SystemExit) as error:
                results.notes.append(f"{peer.name}, {bench.name}: {error}")
                progress.say(f"{bench.name}: {peer.name} is left out: {str(error)[:300]}")
        for number in range(options.rounds):
            order = servers if number % 2 == 0 else servers[::-1]
            for connections in options.connections:
                for server, protocol, file in order:
                    _measure(server, protocol, file, connections, options, results, progress)
        for server in {server.peer.name: server for server, _, _ in servers}.values():
            server.go_on()
            try:
                for wire in server.peer.wires.values():
                    server.check(wire(bench))
            except Failed as error:
                results.notes.append(f"after the load: {error}")


def _measure(
    server: Running,
    protocol: str,
    file: Path,
    connections: int,
    options: argparse.Namespace,
    results: Results,
    progress: "_Progress",
) -> None:
    seconds = SECONDS.get(server.bench.name, options.seconds)
    key = Key(server.peer.name, server.bench.name, protocol, connections)
    server.go_on()
    try:
        got = _load(protocol, file, server.port, connections, seconds)
        results.loads[key].append(got)
        where = server.peer.name, server.bench.name
        results.pss[where] = max(results.pss[where], server.pss_mb())
        progress.measured(key, got, seconds)
    except SystemExit as error:
        results.notes.append(f"{key}: {error}")
    finally:
        server.halt()


def _load(protocol: str, file: Path, port: int, connections: int, seconds: float) -> Load:
    if protocol == "grpc":
        return grpc_load.run(file, port + 1, connections, seconds)
    return load.run(file, port, connections, seconds)


class _Progress:
    """A line for each measurement, with what is left."""

    def __init__(self, options: argparse.Namespace, peers: int) -> None:
        per_round = len(options.connections) * options.rounds
        self._left = 0.0
        for model in options.models:
            seconds = SECONDS.get(model, options.seconds) + 0.4
            extra = 0 if model in ONLY_FIRST else 4
            self._left += per_round * (peers + extra) * seconds + 8 * peers

    def say(self, text: str) -> None:
        print(f"[{self._left / 60:4.1f} min left] {text}", flush=True)

    def measured(self, key: Key, got: Load, seconds: float) -> None:
        self._left = max(0.0, self._left - seconds - 0.4)
        self.say(
            f"{key.model:8} {key.server:>11} {key.protocol:>7} {key.connections:4} connections "
            f"{got.rps:9,.0f}/s  p50 {got.p50_ms:.2f}  p99 {got.p99_ms:.2f} ms"
            + (f"  {got.errors} errors" if got.errors else "")
        )


def _free_ports() -> int:
    """The first of ten that are free, below the range that clients are given."""
    for port in range(21000, 31000, 10):
        with contextlib.ExitStack() as stack:
            try:
                for offset in range(10):
                    probe = stack.enter_context(socket.socket())
                    probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
                    probe.bind(("127.0.0.1", port + offset))
            except OSError:
                continue
            return port
    raise SystemExit("no ports are free")


def _options(argv: Sequence[str] | None) -> argparse.Namespace:
    assert __doc__ is not None
    parser = argparse.ArgumentParser(
        prog="python -m benchmarks.runtime",
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
        epilog=f"Environments and models are kept in {cache()}.",
    )
    names = [peer.name for peer in PEERS]
    parser.add_argument(
        "--peers",
        type=_some(names),
        default=os.environ.get("PEERS") or ",".join(names),
        help="which servers; modelfleet is always one (PEERS=); default all",
    )
    parser.add_argument(
        "--models",
        type=_some(list(NAMES)),
        default=os.environ.get("MODELS") or ",".join(NAMES),
        help="which models (MODELS=); default all",
    )
    parser.add_argument(
        "--connections", type=_numbers, default=os.environ.get("CONNECTIONS") or "1,8,64,256"
    )
    parser.add_argument("--rounds", type=int, default=int(os.environ.get("ROUNDS") or 5))
    parser.add_argument("--seconds", type=float, default=float(os.environ.get("SECONDS") or 1))
    parser.add_argument("--extra-seconds", type=int, default=60, help="of the overload; default 60")
    parser.add_argument("--no-extra", action="store_true", help="no overload, start and memory")
    parser.add_argument("--no-picture", action="store_true")
    parser.add_argument("--strict", action="store_true", help="exit with 1 where a bar is missed")
    options = parser.parse_args(argv)
    if MODELFLEET.name not in options.peers:
        options.peers.insert(0, MODELFLEET.name)
    return options  # fmt: skip


def _some(names: list[str]):  # type: ignore[no-untyped-def]
    def read(text: str) -> list[str]:
        given = [name.strip() for name in text.split(",") if name.strip()]
        unknown = [name for name in given if name not in names]
        if unknown:
            raise argparse.ArgumentTypeError(f"{', '.join(unknown)}: there is {', '.join(names)}")
        return given

    return read


def _numbers(text: str) -> list[int]:
    return [int(one) for one in text.split(",")]


if __name__ == "__main__":
    sys.exit(main())
