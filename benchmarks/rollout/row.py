"""One line of the table."""

from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass, field

from benchmarks.rollout.ledger import Fate, Ledger


@dataclass(frozen=True, slots=True)
class Row:
    """What became of the requests while one thing was done."""

    cause: str
    sent: int
    answered: int
    failed: int
    """The model's own code failed, and its caller was told so."""
    refused: int
    lost: int
    lost_inside: int
    """Of those that were lost, the ones that had reached a model: it had begun to run them, or the
    router had written them to a connection that then broke, or waited in vain."""
    retried: int
    duplicated: int
    """Runs of a model beyond the first of each request."""
    largest_gap_ms: int
    """Between two answers."""
    slowest_ms: int
    """From when a request was due to its end."""
    reasons: Mapping[str, int] = field(default_factory=dict)
    """Of those that were lost, by what their callers saw."""
    lost_from_s: float = 0.0
    """When the first of them was lost, since the load began."""
    lost_until_s: float = 0.0
    answered_by: Mapping[str, int] = field(default_factory=dict)
    """Answers by the model's version."""


_INSIDE = ("reset reason: connection termination", "504 ", "deadline")


def row(cause: str, ledger: Ledger, runs: Mapping[int, int], retried: int) -> Row:
    """Raises ValueError where a request has not ended: then nothing can be said."""
    if not ledger.is_whole:
        raise ValueError(f"{ledger.sent - len(ledger.fates)} requests have not ended")
    moments = [loss.at_s for loss in ledger.losses.values()]
    return Row(
        cause=cause,
        sent=ledger.sent,
        answered=ledger.count(Fate.ANSWERED),
        failed=ledger.count(Fate.FAILED),
        refused=ledger.count(Fate.REFUSED),
        lost=ledger.count(Fate.LOST),
        lost_inside=sum(
            number in runs or any(word in loss.reason for word in _INSIDE)
            for number, loss in ledger.losses.items()
        ),
        retried=retried,
        duplicated=sum(times - 1 for times in runs.values()),
        largest_gap_ms=round(1000 * ledger.largest_gap_s),
        slowest_ms=round(1000 * ledger.slowest_s),
        reasons=dict(Counter(loss.reason for loss in ledger.losses.values()).most_common()),
        lost_from_s=round(min(moments), 1) if moments else 0.0,
        lost_until_s=round(max(moments), 1) if moments else 0.0,
        answered_by={str(label): count for label, count in sorted(ledger.by_label.items())},
    )


COLUMNS = (
    "sent", "answered", "failed", "refused", "lost", "retried", "duplicated", "largest_gap_ms",
)  # fmt: skip


def head() -> str:
    return f"{'cause':44}" + "".join(f"{name.replace('_', ' '):>16}" for name in COLUMNS)


def line(row: Row) -> str:
    """With a line below for each reason why something was lost."""
    figures = "".join(f"{getattr(row, name):>16,}" for name in COLUMNS)
    reasons = [f"    {count:>6} x {reason}" for reason, count in row.reasons.items()]
    inside = [
        f"    from {row.lost_from_s} to {row.lost_until_s} s; {row.lost_inside} had reached a model"
    ]
    return "\n".join([f"{row.cause:44}{figures}", *reasons, *(inside if row.lost else [])])
