"""What one stage of a rollout remembers between two looks, and how a look adds to it."""

import zlib
from dataclasses import dataclass, replace

from modelfleet_operator.statistics.checks import Failing, Limit, Relative
from modelfleet_operator.statistics.counters import Traffic
from modelfleet_operator.statistics.encoding import BrokenText, Reader, Writer
from modelfleet_operator.statistics.latency import Histogram, relative_limit
from modelfleet_operator.statistics.outcomes import Block, Tally
from modelfleet_operator.statistics.policy import Policy, Stage

BASELINE = 1_000
"""Requests of the stable arm from which the limit is read by which the tails are compared."""

WARMUP_PATIENCE = 10
"""So many times the seconds of the warm-up are waited for its requests."""

_KIND, _VERSION = "gate", 1
_NOTHING = Traffic()


@dataclass(frozen=True, slots=True)
class Look:
    """What one look at the routers brought. Times in seconds."""

    candidate: Traffic = _NOTHING
    stable: Traffic = _NOTHING
    seconds: float = 0.0
    """The period in which that came."""
    age: float = 0.0
    """Since the stage began."""
    ready_for: float = 0.0
    """Since the candidate's pods became ready, or were last scaled up."""
    missed: int = 0
    """Looks in a row, this one included, at which the routers could not be read."""
    steady: bool = True
    """All routers served this stage's weights through the whole period."""
    suspect: str = ""
    """Why the arms cannot be compared at all, as a sample-ratio mismatch."""


@dataclass(frozen=True, slots=True)
class Memory:
    """All that a stage has learnt. Starts afresh with each stage, and when its text is broken."""

    policy: Policy
    stage: Stage
    failing: Failing
    errors_limit: Limit | None
    errors: Relative | None
    latency_limits: tuple[Limit, ...]
    """In the order of the policy's limits."""
    latency: Relative | None
    tail_ms: float | None = None
    """The limit by which the tails are compared; None before the baseline is complete."""
    warmed: int = 0
    """The candidate's requests in warm-up."""
    requests: int = 0
    """The candidate's since then."""
    silent: float = 0.0
    """Seconds since the candidate's last request."""
    candidate_latency: Histogram | None = None
    """Since warm-up, for people to read; of the stable arm also the baseline."""
    stable_latency: Histogram | None = None

    @classmethod
    def start(cls, policy: Policy, stage: Stage) -> "Memory":
        limits = tuple(Limit(1 - limit.quantile) for limit in policy.max_latency)
        rate = policy.max_error_rate
        # A stage of all traffic has nobody to compare with; the limits go on.
        both = stage.share < 1
        return cls(
            policy,
            stage,
            failing=Failing(),
            errors_limit=None if rate is None else Limit(rate),
            errors=Relative.start(policy.errors) if policy.compare_errors and both else None,
            latency_limits=limits,
            latency=Relative.start(policy.latency) if policy.compare_latency and both else None,
        )

    def warming(self, look: Look) -> bool:
        """What this look brought is not to be judged: caches fill, connections open, or the
        weights moved while it was counted."""
        if not look.steady or look.ready_for < self.policy.warmup_seconds:
            return True
        patient = look.ready_for < WARMUP_PATIENCE * self.policy.warmup_seconds
        return patient and self.warmed < self.policy.warmup_requests

    def add(self, look: Look) -> "Memory":
        """After one more look. What comes in warm-up counts for `failing` only."""
        effect = self.policy.design_effect
        silent = 0.0 if look.candidate.requests else self.silent + look.seconds
        failing = self.failing.add(_errors(look), effect)
        seen = replace(self, failing=failing, silent=silent)
        if self.warming(look):
            # Another warm-up, after scaling up, waits for its own requests.
            before = 0 if look.ready_for <= look.seconds else self.warmed
            return replace(seen, warmed=before + look.candidate.requests)
        seen = replace(seen, requests=self.requests + look.candidate.requests)
        return seen._add_errors(look)._add_latency(look)

    def _add_errors(self, look: Look) -> "Memory":
        effect, block = self.policy.design_effect, _errors(look)
        limit, relative = self.errors_limit, self.errors
        if limit is not None:
            limit = limit.add(block.candidate, block.candidate, effect)
        if relative is not None:
            relative = relative.add(block, look.seconds, effect)
        return replace(self, errors_limit=limit, errors=relative)

    def _add_latency(self, look: Look) -> "Memory":
        effect = self.policy.design_effect
        candidate, stable = look.candidate.latency, look.stable.latency
        limits, relative = self.latency_limits, self.latency
        if candidate is not None:
            limits = tuple(
                limit.add(
                    candidate.surely_above(asked.ms), candidate.perhaps_above(asked.ms), effect
                )
                for limit, asked in zip(limits, self.policy.max_latency, strict=True)
            )
        if relative is not None and self.tail_ms is not None:
            relative = relative.add(
                Block(_above(candidate, self.tail_ms), _above(stable, self.tail_ms)),
                look.seconds,
                effect,
            )
        known = _joined(self.stable_latency, stable)
        tail = self.tail_ms
        if tail is None and known is not None and known.total >= BASELINE:
            tail = relative_limit(known, self.policy.tail)
        return replace(
            self,
            latency_limits=limits,
            latency=relative,
            tail_ms=tail,
            candidate_latency=_joined(self.candidate_latency, candidate),
            stable_latency=known,
        )

    def to_text(self) -> str:
        """About 1.2 KB for each comparison with the stable arm, 0.2 KB for each limit."""
        writer = Writer(_KIND, _VERSION)
        writer.count(_fingerprint(self.policy, self.stage))
        self.failing.write(writer)
        for limit in (self.errors_limit, *self.latency_limits):
            if limit is not None:
                limit.write(writer)
        for relative in (self.errors, self.latency):
            if relative is not None:
                relative.write(writer)
        writer.number(self.tail_ms if self.tail_ms is not None else 0.0)
        writer.count(self.warmed)
        writer.count(self.requests)
        writer.number(self.silent)
        for histogram in (self.candidate_latency, self.stable_latency):
            _write_histogram(writer, histogram)
        return writer.text()

    @classmethod
    def from_text(cls, text: str, policy: Policy, stage: Stage) -> "Memory":
        """Raises BrokenText, also where it was written under another policy or in another stage."""
        reader = Reader(text, _KIND, _VERSION)
        if reader.count() != _fingerprint(policy, stage):
            raise BrokenText("the gate's text is of another stage or another policy")
        new = cls.start(policy, stage)
        failing = Failing.read(reader)
        rate = None if new.errors_limit is None else Limit.read(reader, new.errors_limit.limit)
        limits = tuple(Limit.read(reader, limit.limit) for limit in new.latency_limits)
        errors = None if new.errors is None else Relative.read(reader, policy.errors)
        latency = None if new.latency is None else Relative.read(reader, policy.latency)
        tail_ms = reader.number() or None
        warmed, requests, silent = reader.count(), reader.count(), reader.number()
        candidate, stable = _read_histogram(reader), _read_histogram(reader)
        reader.end()
        return cls(
            policy,
            stage,
            failing,
            rate,
            errors,
            limits,
            latency,
            tail_ms,
            warmed,
            requests,
            silent,
            candidate,
            stable,
        )


def _errors(look: Look) -> Block:
    return Block(
        Tally(look.candidate.requests, look.candidate.errors),
        Tally(look.stable.requests, look.stable.errors),
    )


def _above(histogram: Histogram | None, limit: float) -> Tally:
    return Tally() if histogram is None else histogram.surely_above(limit)


def _joined(before: Histogram | None, new: Histogram | None) -> Histogram | None:
    """Routers that are given other bounds start it anew."""
    if before is None or new is None:
        return new or before
    return before + new if before.bounds == new.bounds else new


def _fingerprint(policy: Policy, stage: Stage) -> int:
    """Stands for what the evidence was gathered under."""
    return zlib.crc32(repr((policy, stage)).encode())


def _write_histogram(writer: Writer, histogram: Histogram | None) -> None:
    if histogram is None:
        writer.count(0)
        return
    writer.count(len(histogram.bounds) + 1)
    for bound in histogram.bounds:
        writer.number(bound)
    for count in histogram.counts:
        writer.count(count)


def _read_histogram(reader: Reader) -> Histogram | None:
    buckets = reader.count()
    if not buckets:
        return None
    bounds = tuple(reader.number() for _ in range(buckets - 1))
    return Histogram(bounds, tuple(reader.count() for _ in range(buckets)))
