"""The runtime against its peers.

Each server is started in an environment of its own with the same model, and asked the same tensors
by the same load generator, which compares every answer with the model's. The servers take turns
within each round, and a round's order is the reverse of the one before; those that are not measured
are halted. Printed are medians over the rounds, and ratios round by round.

    python -m benchmarks.runtime
    python -m benchmarks.runtime --peers mosec,triton --models linear --rounds 3
    DEVICE=cuda python -m benchmarks.runtime     # on a GPU, against the bare model
"""

import argparse
import contextlib
import itertools
import os
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Sequence
from pathlib import Path

from benchmarks.runtime import bars, load, overload, picture, starts, table
from benchmarks.runtime.load import Load, NoLoad
from benchmarks.runtime.models import NAMES, Bench, cache, make
from benchmarks.runtime.peers import PEERS
from benchmarks.runtime.peers.ours import MODELFLEET, WITH_TORCH
from benchmarks.runtime.peers.peer import Peer
from benchmarks.runtime.results import FILE, OURS, Key, Results
from benchmarks.runtime.server import Failed, Running, running

ROOT = Path(__file__).resolve().parents[2]
LONGER = {"encoder": 2.0}
"""Times --seconds, for one measurement: few requests go through the encoder in one second."""
STARTS = {"linear": 3}
"""How often each server is started for a model; else once."""
TRIES = 2
"""To start a server: Ray gives up by itself after 30 s, which a busy machine may need."""
BARE = frozenset({"cnn", "encoder"})
"""Models of which the bare loop is measured too, once a round."""
ONLY_FIRST = frozenset({"cnn", "encoder", "python"})
"""Models for which each server is measured by its quickest protocol only."""
STARTING = 8.0
"""Seconds of one start with its first load, as a guess."""
HANDLING = 0.25
"""Seconds that go by around one measurement: go on, weigh, halt."""


def main(argv: Sequence[str] | None = None) -> int:
    options = _options(argv)
    if options.device == "cuda":
        torch = ROOT / ".venv-torch" / "bin" / "python"
        python = torch if torch.exists() else Path(sys.executable)
        return subprocess.call([str(python), "-m", "benchmarks.runtime.gpu"], cwd=ROOT)
    try:
        load.build()
    except NoLoad as error:
        print(error, file=sys.stderr)
        return 1
    began = time.monotonic()
    results = Results()
    if (busy := _busy()) > 0.1:
        results.notes.append(f"the machine was {busy:.0%} busy before the run: do not trust it")
        print(results.notes[-1], flush=True)
    ready = [peer for peer in PEERS if peer.name in options.peers and _installed(peer, results)]
    progress = _Progress(options, ready)
    for name in options.models:
        _model(make(name), ready, options, results, progress)
    print(table.tables(results))
    verdicts = bars.judge(results)
    if not options.no_extra and MODELFLEET in ready:
        if overload.MODEL in options.models:
            progress.say(f"overload, for {options.extra_seconds} s, then starts")
            verdicts += overload.judge(MODELFLEET, options.extra_seconds, _free_ports())
        verdicts += starts.judge(MODELFLEET, WITH_TORCH, _free_ports())
    print("\n" + table.bars(verdicts))
    for note in results.notes:
        print(f"note: {note}")
    results.write()
    if not options.no_picture:
        whole = len(ready) == len(PEERS) and options.models == list(NAMES) and options.rounds >= 5
        file = picture.FILE if whole else picture.PARTIAL
        picture.draw(results, file)
        print(f"\ndrawn: {os.path.relpath(file)}")
    print(f"written: {os.path.relpath(FILE)}   ({(time.monotonic() - began) / 60:.1f} min)")
    missed = any(verdict.met is False for verdict in verdicts)
    return 1 if missed and options.strict else 0


def _installed(peer: Peer, results: Results) -> bool:
    try:
        peer.install()
    except subprocess.CalledProcessError:
        results.notes.append(f"{peer.name} could not be installed")
        return False
    return True


class _Turn:
    """One server by one protocol: what is measured when its turn comes."""

    def __init__(self, server: Running, protocol: str, file: Path, port: int) -> None:
        self.server = server
        self.protocol = protocol
        self._file = file
        self._port = port

    def load(self, connections: int, seconds: float) -> Load:
        return load.run(self._file, self._port, connections, seconds)


def _model(
    bench: Bench,
    peers: list[Peer],
    options: argparse.Namespace,
    results: Results,
    progress: "_Progress",
) -> None:
    with contextlib.ExitStack() as stack:
        turns: list[_Turn] = []
        for peer in peers:
            for _ in range(TRIES):
                try:
                    turns += _started(peer, bench, stack, results, progress)
                    break
                except Failed as error:
                    results.notes.append(f"{peer.name}, {bench.name}: {error}")
                    progress.say(f"{bench.name}: {peer.name} failed: {str(error)[-300:]}")
            progress.started(bench.name)
        for number in range(options.rounds):
            if bench.name in BARE:
                seconds = options.seconds * LONGER.get(bench.name, 1)
                results.bare[bench.name].append(_bare(bench, seconds))
            order = turns if number % 2 == 0 else turns[::-1]
            for connections in options.connections:
                for turn in order:
                    _measure(turn, connections, options, results, progress)
        for turn in turns:
            turn.server.go_on()
            try:
                turn.server.check(turn.server.peer.wires[turn.protocol](bench))
            except Failed as error:
                name = turn.server.peer.name
                results.notes.append(f"{name}, {bench.name}, after the load: {error}")
            turn.server.halt()


def _started(
    peer: Peer,
    bench: Bench,
    stack: contextlib.ExitStack,
    results: Results,
    progress: "_Progress",
) -> list[_Turn]:
    """One turn for each protocol that answers rightly; the server is warm, and halted."""
    where = peer.name, bench.name
    for _ in range(STARTS.get(bench.name, 1) - 1 if peer.restarts else 0):
        with running(peer, bench, _free_ports()) as server:
            results.starts[where].append(server.start_s)
    server = stack.enter_context(running(peer, bench, _free_ports()))
    results.starts[where].append(server.start_s)
    turns = []
    for protocol, wire in list(peer.wires.items())[: 1 if bench.name in ONLY_FIRST else None]:
        made = wire(bench)
        try:
            server.check(made)
            turn = _Turn(server, protocol, server.requests(made, protocol), server.port + made.port)
            turn.load(64, 1)  # until it is warm
            turns.append(turn)
        except (Failed, NoLoad) as error:
            results.notes.append(f"{peer.name}, {bench.name}, {protocol}: {error}")
    results.pss[where] = server.pss_mb()
    server.halt()
    names = ", ".join(turn.protocol for turn in turns) or "nothing"
    progress.say(f"{bench.name}: {peer.name} answers {names}, after {server.start_s:.1f} s")
    return turns


def _measure(
    turn: _Turn,
    connections: int,
    options: argparse.Namespace,
    results: Results,
    progress: "_Progress",
) -> None:
    server = turn.server
    seconds = options.seconds * LONGER.get(server.bench.name, 1)
    key = Key(server.peer.name, server.bench.name, turn.protocol, connections)
    server.go_on()
    try:
        got = turn.load(connections, seconds)
        results.loads[key].append(got)
        where = server.peer.name, server.bench.name
        results.pss[where] = max(results.pss[where], server.pss_mb())
        progress.measured(key, got)
    except NoLoad as error:
        results.loads[key].append(Load(0, 0, 0, 1, 0))
        results.notes.append(f"{key}: {error}")
    finally:
        server.halt()


def _busy() -> float:
    """How much of the machine others use: its processors' time within a second."""

    def read() -> tuple[int, int]:
        first, _, _ = Path("/proc/stat").read_text().partition("\n")
        ticks = [int(word) for word in first.split()[1:9]]
        return sum(ticks), ticks[3] + ticks[4]

    whole, idle = read()
    time.sleep(1)
    whole_now, idle_now = read()
    return 1 - (idle_now - idle) / max(1, whole_now - whole)


def _bare(bench: Bench, seconds: float) -> float:
    command = [sys.executable, "-m", "benchmarks.runtime.bare", bench.name, str(seconds)]
    return float(subprocess.run(command, check=True, capture_output=True, text=True).stdout)


class _Progress:
    """A line for each measurement, with what is left: guessed at first, then as it went so far."""

    def __init__(self, options: argparse.Namespace, peers: list[Peer]) -> None:
        self._options = options
        self._began = time.monotonic()
        self._done = 0.0
        self._left = 0.0
        rounds = len(options.connections) * options.rounds
        for model in options.models:
            protocols = len(peers) if model in ONLY_FIRST else sum(len(p.wires) for p in peers)
            self._left += rounds * protocols * self._expected(model)
            self._left += len(peers) * STARTING * STARTS.get(model, 1)
        self._extra = 0 if options.no_extra else options.extra_seconds + 90

    def _expected(self, model: str) -> float:
        return float(self._options.seconds * LONGER.get(model, 1) + 0.3 + HANDLING)

    def _went(self, expected: float) -> None:
        self._done += expected
        self._left = max(0.0, self._left - expected)

    def say(self, text: str) -> None:
        slower = (time.monotonic() - self._began) / self._done if self._done > 30 else 1.0
        print(f"[{(self._left * slower + self._extra) / 60:4.1f} min left] {text}", flush=True)

    def started(self, model: str) -> None:
        """One more server is warm, or was left out."""
        self._went(STARTING * STARTS.get(model, 1))

    def measured(self, key: Key, got: Load) -> None:
        self._went(self._expected(key.model))
        self.say(
            f"{key.model:8} {key.server:>11} {key.protocol:>7} {key.connections:4} connections "
            f"{got.rps:9,.0f}/s  p50 {got.p50_ms:.2f}  p99 {got.p99_ms:.2f} ms"
            + (f"  {got.errors} errors" if got.errors else "")
            + (f"  (the generator was {got.busy:.0%} busy)" if got.busy > 0.9 else "")
        )


_PORTS = itertools.cycle(range(21000, 31000, 10))


def _free_ports() -> int:
    """The first of ten that are free, below the range that clients are given. Never the same again
    soon: where a server has just ended, some cannot listen for a minute."""
    for port in itertools.islice(_PORTS, 1000):
        with contextlib.ExitStack() as stack:
            try:
                for offset in range(10):
                    probe = stack.enter_context(socket.socket())
                    probe.bind(("127.0.0.1", port + offset))
            except OSError:
                continue
            return port
    raise SystemExit("no ports are free")


def _options(argv: Sequence[str] | None) -> argparse.Namespace:
    assert __doc__ is not None
    env = os.environ.get
    parser = argparse.ArgumentParser(
        prog="python -m benchmarks.runtime",
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
        epilog=f"Environments and models are kept in {cache()}. docs/benchmark.md says how to read "
        "the tables.",
    )
    names = [peer.name for peer in PEERS]
    parser.add_argument(
        "--peers",
        type=_some(names),
        default=env("PEERS") or ",".join(names),
        help=f"which servers, of {', '.join(names)}; {OURS} is always one (PEERS=); default all",
    )
    parser.add_argument(
        "--models",
        type=_some(list(NAMES)),
        default=env("MODELS") or ",".join(NAMES),
        help=f"which models, of {', '.join(NAMES)} (MODELS=); default all",
    )
    parser.add_argument(
        "--connections",
        type=_numbers,
        default=env("CONNECTIONS") or "1,8,64,256",
        help="at how many connections (CONNECTIONS=); default 1,8,64,256",
    )
    parser.add_argument(
        "--rounds", type=int, default=env("ROUNDS") or 5, help="(ROUNDS=); default 5"
    )
    parser.add_argument(
        "--seconds",
        type=float,
        default=env("SECONDS") or 1.0,
        help="of one measurement, for the encoder twice as long (SECONDS=); default 1",
    )
    parser.add_argument(
        "--device",
        choices=["cpu", "cuda"],
        default=env("DEVICE") or "cpu",
        help="cuda: no peers, but the engine against the bare model on a GPU (DEVICE=)",
    )
    parser.add_argument("--extra-seconds", type=int, default=60, help="of the overload; default 60")
    parser.add_argument("--no-extra", action="store_true", help="no overload, no starts")
    parser.add_argument("--no-picture", action="store_true", help="leave docs/ as it is")
    parser.add_argument("--strict", action="store_true", help="exit with 1 where a bar is missed")
    options = parser.parse_args(argv)
    if OURS not in options.peers:
        options.peers.insert(0, OURS)
    if options.rounds < 1 or options.seconds <= 0 or min(options.connections) < 1:
        parser.error("rounds, seconds and connections are positive numbers")
    return options


def _some(names: list[str]) -> Callable[[str], list[str]]:
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
