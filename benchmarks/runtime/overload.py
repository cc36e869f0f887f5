"""Twice the capacity: what is answered in time, and how soon the rest hears that it is not.

The capacity is what a closed loop of 64 connections reaches, the median of three. Then requests
come at twice that rate, at random moments (an open loop), for a minute, each with a deadline. The
deadline is a few times what a request takes at capacity, so that a queue helps a little and only a
little. The model is the encoder: the server's own work and the generator's are small beside it, and
what is measured is the choice of what to take.
"""

import statistics

from benchmarks.runtime import load
from benchmarks.runtime.bars import Verdict
from benchmarks.runtime.models import make
from benchmarks.runtime.peers.peer import Peer
from benchmarks.runtime.server import Failed, running

MODEL = "encoder"
DEADLINE_MS = 2000
CONNECTIONS = 1024


def judge(ours: Peer, seconds: int, port: int) -> list[Verdict]:
    what = f"overload, {MODEL}"
    try:
        capacity, told = _measured(ours, seconds, port)
    except (Failed, load.NoLoad) as error:
        return [Verdict(what, "answers", str(error), False)]
    what = f"{what}, {seconds} s of {2 * capacity:,.0f}/s, deadline {DEADLINE_MS} ms"
    rest = (
        f"{told.refused:,} refused, {told.late:,} late, {told.errors:,} failed, "
        f"{told.unsent:,} not sent"
    )
    answered = told.goodput * seconds
    heard = told.refused + told.late + told.errors + told.unsent
    # One in a hundred of the rest may be late: with more, the 99th percentile is such a one.
    too_late = told.late + told.errors > 0.01 * heard
    slowest = float("inf") if too_late else told.refused_p99_ms
    return [
        Verdict(
            f"{what}: goodput",
            ">= 90 %",
            f"{told.goodput / capacity:.0%} of {capacity:,.0f}/s; {rest}; the generator was "
            f"{told.busy:.0%} busy",
            told.goodput >= 0.9 * capacity and not told.unsent > 0.01 * (answered + heard),
        ),
        Verdict(
            f"{what}: p99 of the answered", f"< {DEADLINE_MS} ms", f"{told.p99_ms:.0f} ms",
            told.p99_ms < DEADLINE_MS,
        ),
        Verdict(
            f"{what}: p99 of the rest", "< 10 ms",
            f"{slowest:.1f} ms; {told.refused_soon / max(1, heard):.1%} within 10 ms", slowest < 10,
        ),
    ]  # fmt: skip


def _measured(ours: Peer, seconds: int, port: int) -> tuple[float, load.OpenLoad]:
    bench = make(MODEL)
    wire = next(iter(ours.wires.values()))(bench)
    with running(ours, bench, port) as server:
        file = server.requests(wire, "closed")
        load.run(file, server.port, 64, 4)
        capacity = statistics.median(load.run(file, server.port, 64, 8).rps for _ in range(3))
        file = server.requests(wire, "open", x_request_timeout_ms=str(DEADLINE_MS))
        told = load.run_open(file, server.port, CONNECTIONS, seconds, 2 * capacity, DEADLINE_MS)
        server.check(wire)
    return capacity, told
