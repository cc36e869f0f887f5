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
    def at(server: str, model: str, protocol: str, connections: int) -> Key:
        return Key(server, model, protocol, connections)

    def faster(what: str, ours: Key, other: Key, bar: float) -> Verdict:
        return _compared(what, results.ratios(ours, other), f">= {bar} x", lambda r: r >= bar)

    verdicts = [
        faster(
            "linear, 64 connections: requests/s against mosec",
            at(OURS, "linear", "binary", 64), at("mosec", "linear", "raw", 64), 1.5,
        ),
        faster(
            "linear, 64 connections: requests/s against Triton's Python backend, binary",
            at(OURS, "linear", "binary", 64), at("triton", "linear", "binary", 64), 2.5,
        ),
    ]  # fmt: skip
    for server in SLOW_PEERS:
        protocol = "raw" if server == "ray" else "json"
        verdicts.append(
            faster(
                f"linear, 64 connections: requests/s against {server}",
                at(OURS, "linear", "binary", 64), at(server, "linear", protocol, 64), 25,
            )
        )  # fmt: skip
    verdicts += [
        _compared(
            "linear, 64 connections: p99 against mosec",
            results.ratios(
                at(OURS, "linear", "binary", 64), at("mosec", "linear", "raw", 64), "p99_ms"
            ),
            "<= 1.0 x",
            lambda r: r <= 1.0,
        ),
        _compared(
            "linear, 1 connection: p50 against Triton",
            results.ratios(
                at(OURS, "linear", "binary", 1), at("triton", "linear", "binary", 1), "p50_ms"
            ),
            "<= 0.4 x",
            lambda r: r <= 0.4,
        ),
        faster(
            "linear, 256 connections, JSON both sides: requests/s against Triton",
            at(OURS, "linear", "json", 256), at("triton", "linear", "json", 256), 2,
        ),
        _against_fastest(results, "cnn", 1.0),
        _against_fastest(results, "encoder", 1.1),
        faster(
            "linear, 64 connections, gRPC: requests/s against Triton's Python backend",
            at(OURS, "linear", "grpc", 64), at("triton", "linear", "grpc", 64), 1.0,
        ),
    ]  # fmt: skip
    return verdicts


def _against_fastest(results: Results, model: str, bar: float) -> Verdict:
    keys = [k for k in results.loads if k.model == model and k.connections == 64]
    ours = Key(OURS, model, "binary", 64)
    peers = [key for key in keys if key.server != OURS]
    what = f"{model}, 64 connections: requests/s against the fastest peer"
    if ours not in results.loads or not peers:
        return Verdict(what, f">= {bar} x", "not measured", None)
    fastest = max(peers, key=lambda key: statistics.median(x.rps for x in results.loads[key]))
    return _compared(
        f"{what}, {fastest.server}", results.ratios(ours, fastest), f">= {bar} x",
        lambda r: r >= bar,
    )  # fmt: skip


def _compared(what: str, ratios: list[float], bar: str, holds: Callable[[float], bool]) -> Verdict:
    if not ratios:
        return Verdict(what, bar, "not measured", None)
    middle = statistics.median(ratios)
    got = f"{middle:.2f} x ({min(ratios):.2f} to {max(ratios):.2f})"
    return Verdict(what, bar, got, holds(middle))
