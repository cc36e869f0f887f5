"""Counters of several router pods -> what was added in one period, for both arms alike.

A counter only grows, until its pod starts again. Each pod's counters are compared with the same
pod's of the last look:

- all grew or stayed, and the start is the same: the difference counts;
- the pod started after the last look (it is new, or it started again): all it has counts;
- anything else that does not fit (a counter fell, other bounds, an arm that was not there): the
  pod's interval is discarded, **for every arm**, because arms are compared over the same requests;
- a pod that is gone: its last interval is lost, for every arm.

So nothing is ever invented, and what is lost is lost on both sides. A lost interval costs a little
evidence and no validity.
"""

from collections.abc import Collection, Mapping
from dataclasses import dataclass

from modelfleet_operator.statistics.encoding import Reader, Writer
from modelfleet_operator.statistics.latency import Histogram

SKEW = 2.0
"""Seconds by which a pod's start must lie behind the last look: starts are known to the second."""

_KIND, _VERSION = "cnt", 3


@dataclass(frozen=True, slots=True)
class Traffic:
    """One arm's requests: running totals of a router pod, or what came in one period.

    `requests` counts answers, as `errors` does, so that both are of the same requests. `latency`
    is None where no histogram is read; it trails the counters by one flush of the router. `sent`
    counts when a request is given to an arm: what a slow arm has yet to answer is among it.
    """

    requests: int = 0
    errors: int = 0
    latency: Histogram | None = None
    sent: int = 0

    def __post_init__(self) -> None:
        if not 0 <= self.errors <= self.requests:
            raise ValueError(
                f"{self.errors} errors of {self.requests} requests: "
                "errors must lie between 0 and the number of requests"
            )

    def __add__(self, other: "Traffic") -> "Traffic":
        if self.latency is None or other.latency is None:
            latency = self.latency or other.latency
        else:
            latency = self.latency + other.latency
        return Traffic(
            self.requests + other.requests,
            self.errors + other.errors,
            latency,
            self.sent + other.sent,
        )


@dataclass(frozen=True, slots=True)
class Pod:
    """What one router pod has counted since it started."""

    started: float
    """Seconds of the clock that `Snapshot.at` is read from."""
    arms: Mapping[str, Traffic]
    """By arm: a revision's or a variant's name."""


@dataclass(frozen=True, slots=True)
class Snapshot:
    """What all router pods that could be read had counted."""

    at: float
    """When it was read, in seconds."""
    pods: Mapping[str, Pod]
    """By the pod's uid."""

    def to_text(self) -> str:
        writer = Writer(_KIND, _VERSION)
        writer.number(self.at)
        ladders = sorted(
            {a.latency.bounds for p in self.pods.values() for a in p.arms.values() if a.latency}
        )
        writer.count(len(ladders))
        for bounds in ladders:
            writer.count(len(bounds))
            for bound in bounds:
                writer.number(bound)
        writer.count(len(self.pods))
        for uid, pod in sorted(self.pods.items()):
            writer.name(uid)
            writer.number(pod.started)
            writer.count(len(pod.arms))
            for arm, traffic in sorted(pod.arms.items()):
                writer.name(arm)
                writer.count(traffic.requests)
                writer.count(traffic.errors)
                writer.count(traffic.sent)
                writer.count(ladders.index(traffic.latency.bounds) + 1 if traffic.latency else 0)
                for count in traffic.latency.counts if traffic.latency else ():
                    writer.count(count)
        return writer.text()

    @classmethod
    def from_text(cls, text: str) -> "Snapshot":
        """Raises BrokenText. Without it the next look is the first: one period is lost."""
        reader = Reader(text, _KIND, _VERSION)
        at = reader.number()
        ladders = [
            tuple(reader.number() for _ in range(reader.count())) for _ in range(reader.count())
        ]
        pods = {}
        for _ in range(reader.count()):
            uid, started = reader.name(), reader.number()
            pods[uid] = Pod(
                started,
                {reader.name(): _read_traffic(reader, ladders) for _ in range(reader.count())},
            )
        reader.end()
        return cls(at, pods)


@dataclass(frozen=True, slots=True)
class Added:
    """What came between two snapshots."""

    arms: Mapping[str, Traffic]
    discarded: Mapping[str, str]
    """Pods of which nothing counts, and why."""


def added(before: Snapshot, now: Snapshot, compared: Collection[str]) -> Added:
    """Between two snapshots, by arm, over all pods of which it can be said.

    `compared` names the arms that are compared with each other; others neither count nor spoil.
    """
    arms: dict[str, Traffic] = {}
    discarded = {uid: "it is gone" for uid in before.pods if uid not in now.pods}
    for uid, pod in now.pods.items():
        grown = _of_pod(before.pods.get(uid), before.at, pod, compared)
        if isinstance(grown, str):
            discarded[uid] = grown
            continue
        for arm, traffic in grown.items():
            known = arms.get(arm, Traffic())
            if known.latency and traffic.latency and known.latency.bounds != traffic.latency.bounds:
                # Routers that are given new bounds are given them one after the other.
                discarded[uid] = "its latency bounds are not those of the other pods"
                break
        else:
            for arm, traffic in grown.items():
                arms[arm] = arms.get(arm, Traffic()) + traffic
    return Added(arms, discarded)


def _of_pod(
    before: Pod | None, read_at: float, now: Pod, compared: Collection[str]
) -> Mapping[str, Traffic] | str:
    """What the pod added, by arm; or why that cannot be said."""
    if now.started > read_at + SKEW:
        return {arm: traffic for arm, traffic in now.arms.items() if arm in compared}
    if before is None:
        return "it is seen for the first time"
    if now.started > before.started + SKEW:
        return "it started again at about the last look"
    grown = {}
    for arm in sorted((before.arms.keys() | now.arms.keys()) & set(compared)):
        if arm not in before.arms:
            return f"its counters of {arm} are seen for the first time"
        if arm not in now.arms:
            return f"its counters of {arm} are gone"
        difference = _difference(before.arms[arm], now.arms[arm])
        if difference is None:
            return f"its counters of {arm} fell, or have other bounds"
        grown[arm] = difference
    return grown


def _difference(before: Traffic, now: Traffic) -> Traffic | None:
    requests, errors = now.requests - before.requests, now.errors - before.errors
    if not 0 <= errors <= requests:
        return None
    # It is a difference of two counters, one of which may be ahead by what is sent again just now.
    sent = max(0, now.sent - before.sent)
    if now.latency is None or (before.latency is None and before.requests):
        return Traffic(requests, errors, sent=sent)
    if before.latency is None:  # without a request there is no histogram
        return Traffic(requests, errors, now.latency, sent)
    counts = [b - a for a, b in zip(before.latency.counts, now.latency.counts, strict=False)]
    if before.latency.bounds != now.latency.bounds or min(counts) < 0:
        return None
    return Traffic(requests, errors, Histogram(now.latency.bounds, tuple(counts)), sent)


def _read_traffic(reader: Reader, ladders: list[tuple[float, ...]]) -> Traffic:
    requests, errors, sent, ladder = (reader.count() for _ in range(4))
    if not ladder:
        return Traffic(requests, errors, sent=sent)
    bounds = ladders[ladder - 1]
    counts = tuple(reader.count() for _ in range(len(bounds) + 1))
    return Traffic(requests, errors, Histogram(bounds, counts), sent)
