"""What the runtime is held to, and whether this run shows it."""

import statistics
from collections.abc import Callable
from dataclasses import dataclass

from benchmarks.runtime.results import OURS, Key, Results

SLOW_PEERS = ("litserve", "mlserver", "bentoml", "ray")


@dataclass(frozen=True)
class Verdict:
    what: str
    bar: str
    got: str
    met: bool | None
    """None where this run did not measure it."""


def judge(results: Results) -> list[Verdict]:
    """Every bar that needs a peer."""

    def ours(model: str, protocol: str, connections: int) -> Key:
        return Key(OURS, model, protocol, connections)

    def compared(
        what: str, mine: Key, other: Key | None, bar: str, holds: _Holds, figure: str = "rps"
    ) -> Verdict:
        ratios = results.ratios(mine, other, figure) if other else []
        return _compared(what, ratios, bar, holds)

    mosec = Key("mosec", "linear", "raw", 64)
    at_64 = "linear, 64 connections: requests/s against"
    verdicts = [
        compared(f"{at_64} mosec", ours("linear", "binary", 64), mosec, *_least(1.5)),
        compared(
            f"{at_64} Triton's Python backend, binary", ours("linear", "binary", 64),
            Key("triton", "linear", "binary", 64), *_least(2.5),
        ),
    ]  # fmt: skip
    for server in SLOW_PEERS:
        other = results.best(server, "linear", 64)
        verdicts.append(
            compared(
                f"{at_64} {server}, each by its quickest protocol",
                ours("linear", "binary", 64),
                other,
                *_least(25),
            )
        )
    return [
        *verdicts,
        compared(
            "linear, 64 connections: p99 against mosec", ours("linear", "binary", 64), mosec,
            *_most(1.0), "p99_ms",
        ),
        compared(
            "linear, 1 connection: p50 against Triton", ours("linear", "binary", 1),
            Key("triton", "linear", "binary", 1), *_most(0.4), "p50_ms",
        ),
        compared(
            "linear, 256 connections, JSON both sides: requests/s against Triton",
            ours("linear", "json", 256), Key("triton", "linear", "json", 256), *_least(2),
        ),
        _against_fastest(results, "cnn", 1.0),
        _against_fastest(results, "encoder", 1.1),
        compared(
            "linear, 64 connections, gRPC: requests/s against Triton's Python backend",
            ours("linear", "grpc", 64), Key("triton", "linear", "grpc", 64), *_least(1.0),
        ),
    ]  # fmt: skip


_Holds = Callable[[float], bool]


def _least(bar: float) -> tuple[str, _Holds]:
    return f">= {bar} x", lambda ratio: ratio >= bar


def _most(bar: float) -> tuple[str, _Holds]:
    return f"<= {bar} x", lambda ratio: ratio <= bar


def _against_fastest(results: Results, model: str, bar: float) -> Verdict:
    what = f"{model}, 64 connections: requests/s against the fastest peer"
    servers = {key.server for key in results.loads if key.model == model} - {OURS}
    best = [key for server in servers if (key := results.best(server, model, 64))]
    mine = Key(OURS, model, "binary", 64)
    if mine not in results.loads or not best:
        return Verdict(what, f">= {bar} x", "not measured", None)
    fastest = max(best, key=lambda key: statistics.median(x.rps for x in results.loads[key]))
    return _compared(f"{what}, {fastest.server}", results.ratios(mine, fastest), *_least(bar))


def _compared(what: str, ratios: list[float], bar: str, holds: _Holds) -> Verdict:
    if not ratios:
        return Verdict(what, bar, "not measured", None)
    middle = statistics.median(ratios)
    got = f"{middle:.2f} x ({min(ratios):.2f} to {max(ratios):.2f})"
    return Verdict(what, bar, got, holds(middle))
