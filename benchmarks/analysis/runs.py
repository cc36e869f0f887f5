"""What is simulated, row by row, and what each row is held to."""

import math
import statistics
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from random import Random

import numpy as np

from benchmarks.analysis.many import Floats, ManyRelative
from benchmarks.analysis.traffic import LOOK, Traffic
from modelfleet_operator.statistics.counters import Traffic as Counted
from modelfleet_operator.statistics.gate import Action, judge
from modelfleet_operator.statistics.memory import Look, Memory
from modelfleet_operator.statistics.policy import Margins, Policy, Stage

ALPHA = 0.05
NO_MARGIN = Margins(ratio=1.0)
"""Any worsening counts: the hardest case for false stops, and the one that a z-test answers."""
DEFAULT = Margins()


@dataclass(frozen=True)
class Row:
    """One line of the results."""

    kind: str
    """false stop, false pass, detection, break, failing"""
    case: str
    figure: float
    unit: str
    bar: float | None = None
    """At most this; None: shown, and held to nothing."""
    more: dict[str, float] = field(default_factory=dict)

    @property
    def met(self) -> bool | None:
        return None if self.bar is None else self.figure <= self.bar


RATES = (0.001, 0.01, 0.05)
SHARES = (0.05, 0.5)
RAMP = (0.01, 0.05, 0.2, 0.5)


def false_stops(pairs: int) -> Iterator[Row]:
    """Equal arms: how often does the gate ever stop, if the whole alpha is on this one check?"""
    seed = 1000
    for margins, name in ((NO_MARGIN, "any worsening"), (DEFAULT, "more than 1.5 times")):
        for rate in RATES:
            for share in SHARES:
                seed += 1
                traffic = Traffic(rate, rate, share, looks=400)
                case = f"errors {_percent(rate)}, {_split(share)}, harm: {name}"
                yield _false_stop(case, traffic, margins, pairs, seed)
    for drift, word in ((10.0, "0.2 -> 2 %"), (0.1, "2 -> 0.2 %")):
        seed += 1
        start = 0.002 if drift > 1 else 0.02
        traffic = Traffic(start, start, 0.0, looks=400, ramp=RAMP, drift=drift)
        case = f"errors drift {word} on a ramp 1-5-20-50 %, harm: any worsening"
        yield _false_stop(case, traffic, NO_MARGIN, pairs, seed)
    long = Traffic(0.01, 0.01, 0.5, looks=4000, per_look=250)
    case = "errors 1 %, 50/50, a million requests, harm: any worsening"
    yield _false_stop(case, long, NO_MARGIN, max(1, pairs // 10), seed + 1)


def _false_stop(case: str, traffic: Traffic, margins: Margins, pairs: int, seed: int) -> Row:
    found = _harm_at(traffic, margins, pairs, seed)
    return Row("false stop", case, 100 * float(np.isfinite(found).mean()), "%", 100 * ALPHA)


def false_passes(pairs: int) -> Iterator[Row]:
    """A candidate that is exactly as bad as may not pass: how often does it ever?"""
    for seed, (stable, share) in enumerate([(0.01, 0.05), (0.01, 0.5), (0.001, 0.2)], start=3001):
        margin = Stage(1, 2, share, 0.25).margin(DEFAULT)
        candidate = max(DEFAULT.ratio * stable, stable + margin)
        traffic = Traffic(stable, candidate, share, looks=400)
        many = ManyRelative(pairs, DEFAULT, margin)
        passed = np.zeros(pairs, dtype=bool)
        rng = np.random.default_rng(seed)
        for look in range(traffic.looks):
            many.add(*traffic.draw(rng, look, pairs))
            passed |= many.harmless >= -math.log(ALPHA)
        case = f"{_percent(stable)} -> {_percent(candidate)}, {_split(share)}, just too bad"
        yield Row("false pass", case, 100 * float(passed.mean()), "%", 100 * ALPHA)


BAR = 1.2
"""Times the fixed-size z-test's sample at 80 % power, at 1 -> 2 % and 5/95."""


def detections(pairs: int) -> Iterator[Row]:
    """A candidate that is worse: after how many requests of both arms is it found?"""
    cases = [
        (s, c, share) for s, c in ((0.01, 0.02), (0.01, 0.05), (0.001, 0.01)) for share in SHARES
    ]
    for seed, (stable, candidate, share) in enumerate(cases, start=2001):
        fixed = fixed_sample(stable, candidate, share)
        looks = math.ceil(8 * fixed / LOOK)
        found = _harm_at(Traffic(stable, candidate, share, looks), NO_MARGIN, pairs, seed)
        held = (stable, candidate, share) == (0.01, 0.02, 0.05)
        yield Row(
            "detection",
            f"{_percent(stable)} -> {_percent(candidate)}, {_split(share)}, harm: any worsening",
            float(np.median(found)) / fixed,
            "x fixed sample",
            BAR if held else None,
            {
                "median_requests": float(np.median(found)),
                "p90_requests": float(np.quantile(found, 0.9)),
                "fixed_requests": round(fixed),
                "found_percent": 100 * float(np.isfinite(found).mean()),
            },
        )
    traffic = Traffic(0.01, 0.05, 0.05, looks=1000)
    found = _harm_at(traffic, DEFAULT, pairs, 2101)
    fixed = fixed_sample(0.01, 0.05, 0.05)
    yield Row(
        "detection",
        "1 % -> 5 %, 5/95, harm: more than 1.5 times",
        float(np.median(found)) / fixed,
        "x fixed sample",
        None,
        {
            "median_requests": float(np.median(found)),
            "p90_requests": float(np.quantile(found, 0.9)),
            "fixed_requests": round(fixed),
            "found_percent": 100 * float(np.isfinite(found).mean()),
        },
    )


def breaks(pairs: int) -> Iterator[Row]:
    """Good for 100,000 requests, then broken: after how many more is it found?"""
    good = 2000
    traffic = Traffic(0.01, 0.05, 0.05, looks=good + 400, breaks_at=good)
    found = _harm_at(traffic, NO_MARGIN, max(1, pairs // 2), 8005) - good * LOOK
    late = found[found > 0]
    yield Row(
        "break",
        "1 % -> 5 % after 100,000 good requests, 5/95: missed within 20,000 more",
        100 * float(np.isinf(late).mean()),
        "%",
        None,
        {"median_requests": float(np.median(late)), "p90_requests": float(np.quantile(late, 0.9))},
    )


FEW = 5
"""Requests within which a candidate that always fails is found."""


def failing(runs: int) -> Iterator[Row]:
    """A candidate of which every request fails, judged by the whole gate after every request."""
    for rate in RATES:
        for share in SHARES:
            policy = Policy(max_error_rate=0.01, compare_latency=False)
            stage = Stage(1, 4, share, 1.0)
            needed = [_requests_until_back(policy, stage, rate, Random(i)) for i in range(runs)]
            yield Row(
                "failing",
                f"every request fails, stable {_percent(rate)}, {_split(share)}, a stage of 4",
                max(needed),
                "requests",
                FEW,
                {"median_requests": statistics.median(needed)},
            )


def _requests_until_back(policy: Policy, stage: Stage, rate: float, rng: Random) -> int:
    memory, seconds, sent = Memory.start(policy, stage), 0.0, 0
    while True:
        seconds += 0.1
        mine = rng.random() < stage.share
        sent += mine
        candidate = Counted(1, 1) if mine else Counted()
        stable = Counted() if mine else Counted(1, int(rng.random() < rate))
        # No warm-up has to end first: what fails altogether is seen through it.
        memory, judgement = judge(memory, Look(candidate, stable, 0.1, seconds, seconds))
        if judgement.action is Action.ROLL_BACK:
            return sent


def _harm_at(traffic: Traffic, margins: Margins, pairs: int, seed: int) -> Floats:
    """After how many requests each pair's harm is shown; infinite where it never is."""
    many = ManyRelative(pairs, margins)
    rng = np.random.default_rng(seed)
    found = np.full(pairs, np.inf)
    for look in range(traffic.looks):
        many.add(*traffic.draw(rng, look, pairs))
        new = (many.harm >= -math.log(ALPHA)) & np.isinf(found)
        found[new] = (look + 1) * traffic.per_look
        if np.isfinite(found).all():
            break
    return found


def fixed_sample(stable: float, candidate: float, share: float, power: float = 0.8) -> float:
    """Requests of both arms that a one-sided z-test at one look needs."""
    normal = statistics.NormalDist()
    z_alpha, z_power = normal.inv_cdf(1 - ALPHA), normal.inv_cdf(power)
    pooled = share * candidate + (1 - share) * stable
    under_null = pooled * (1 - pooled) * (1 / share + 1 / (1 - share))
    under_truth = candidate * (1 - candidate) / share + stable * (1 - stable) / (1 - share)
    spread = z_alpha * math.sqrt(under_null) + z_power * math.sqrt(under_truth)
    return (spread / (candidate - stable)) ** 2


def _percent(rate: float) -> str:
    return f"{100 * rate:.3g} %"


def _split(share: float) -> str:
    return f"{100 * share:g}/{100 * (1 - share):g}"


SECTIONS: tuple[tuple[str, Callable[[int], Iterator[Row]], int], ...] = (
    ("equal arms: false stops", false_stops, 10_000),
    ("just too bad: false passes", false_passes, 5_000),
    ("worse: requests until it is found", detections, 2_000),
    ("breaks after good times", breaks, 2_000),
    ("fails altogether", failing, 200),
)
"""Title, rows, and how many pairs each row simulates."""
