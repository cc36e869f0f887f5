"""Whole rollouts, judged by the gate itself as the operator does it: a look every ten seconds."""

import statistics
from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np

from benchmarks.analysis.many import Generator
from benchmarks.analysis.runs import Row
from modelfleet_operator.statistics.counters import Traffic
from modelfleet_operator.statistics.gate import Action, judge
from modelfleet_operator.statistics.latency import Histogram, bounds_for
from modelfleet_operator.statistics.memory import Look, Memory
from modelfleet_operator.statistics.policy import LatencyLimit, Policy, Stage

POLL = 10.0
ERRORS = 0.002
SHARES = (0.05, 0.25, 0.5)
POLICY = Policy(max_error_rate=0.01, max_latency=(LatencyLimit(0.99, 400),))

_BOUNDS = bounds_for((400.0,))
# Log-normal, median 60 ms, p99 250 ms.
_EDGES = np.array([0.0, *_BOUNDS, np.inf])
_SIGMA = 0.613


@dataclass(frozen=True)
class Candidate:
    name: str
    errors: float = 1.0
    """So many times the stable arm's."""
    slower: float = 1.0
    """So many times as long."""


CANDIDATES = (
    Candidate("the same"),
    Candidate("twice the errors", errors=2),
    Candidate("five times the errors", errors=5),
    Candidate("a fifth of the requests fail", errors=100),
    Candidate("1.5 times as slow", slower=1.5),
)


@dataclass(frozen=True)
class End:
    action: Action
    stage: int
    seconds: float
    exposed: int
    """Requests that the candidate got."""


def rollouts(runs: int, rate: float = 1000.0) -> Iterator[Row]:
    """`rate`: requests/s."""
    for number, candidate in enumerate(CANDIDATES):
        rng = np.random.default_rng(9000 + number)
        ends = [roll_out(candidate, rate, rng) for _ in range(runs)]
        back = [end for end in ends if end.action is Action.ROLL_BACK]
        good = candidate == CANDIDATES[0]
        yield Row(
            "rollout",
            f"{rate:g}/s, 5-25-50 %, {candidate.name}: rolled back",
            100 * len(back) / runs,
            "%",
            5.0 if good else None,
            {
                "promoted_percent": 100 * sum(e.action is Action.NEXT for e in ends) / runs,
                "timed_out_percent": 100 * sum(e.action is Action.PAUSE for e in ends) / runs,
                "median_seconds": statistics.median(e.seconds for e in ends),
                "median_exposed": statistics.median(e.exposed for e in ends),
            },
        )


def roll_out(candidate: Candidate, rate: float, rng: Generator) -> End:
    seconds, exposed = 0.0, 0
    for number, share in enumerate(SHARES, start=1):
        following = SHARES[number] if number < len(SHARES) else 1.0
        memory = Memory.start(POLICY, Stage(number, len(SHARES), share, following))
        age = 0.0
        while True:
            age += POLL
            n = int(rng.binomial(rng.poisson(rate * POLL), share))
            m = int(rng.poisson(rate * POLL * (1 - share)))
            exposed += n
            ours = _drawn(rng, n, candidate.errors * ERRORS, candidate.slower)
            look = Look(ours, _drawn(rng, m, ERRORS, 1.0), POLL, age, age)
            memory, judgement = judge(memory, look)
            # As the operator does: from the text that the status keeps.
            memory = Memory.from_text(memory.to_text(), memory.policy, memory.stage)
            if judgement.action is not Action.HOLD:
                break
        seconds += age
        if judgement.action is not Action.NEXT:
            return End(judgement.action, number, seconds, exposed)
    return End(Action.NEXT, len(SHARES), seconds, exposed)


def _drawn(rng: Generator, requests: int, errors: float, slower: float) -> Traffic:
    times = 60 * slower * np.exp(_SIGMA * rng.standard_normal(requests))
    counts, _ = np.histogram(times, _EDGES)
    failed = int(rng.binomial(requests, min(1.0, errors)))
    return Traffic(requests, failed, Histogram(_BOUNDS, tuple(int(c) for c in counts)))
