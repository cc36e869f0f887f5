"""How variants compare: each with its figures, then each difference with its interval."""

from collections.abc import Iterable, Sequence

from modelfleet_operator.api.moments import read_time
from modelfleet_operator.api.status import ArmStatus, ComparisonStatus, ExperimentStatus
from modelfleet_operator.cli.ages import age
from modelfleet_operator.cli.picture import Picture
from modelfleet_operator.cli.styled import Cell, Line, Span, Style, line, table
from modelfleet_operator.kinds import Json

WIDTH = 31
"""Characters of a drawn interval."""

_ARMS = ("VARIANT", "ROLE", "SHARE", "REQUESTS", "ERRORS", "RATE", "P50", "P95", "P99")
_METRICS = (
    "METRIC", "VARIANT", "CONTROL", "HAS", "DIFFERENCE", "BETWEEN", "P", "INTERVAL (0 IS MARKED)",
    "FOUND",
)  # fmt: skip
_VERDICTS = {"Ok": Style.GOOD, "Mismatch": Style.BAD}


def experiment(picture: Picture, *, wide: bool, drawings: bool) -> tuple[Line, ...]:
    """`drawings`: with more than ASCII."""
    found = picture.status.experiment
    title = line(Span(picture.name, Style.STRONG), f" in {picture.resource.namespace}: ")
    if found is None:
        return ((*title, Span("nothing is compared yet", Style.WARN)),)
    since = age(read_time(found.since), picture.now)
    lines = [
        (*title, *line(f"{len(found.arms)} variants with these shares for {since}")),
        line("  ", Span(found.message or "nothing can be said yet", _style(found))),
        (),
        *table(_ARMS, (_arm(found, each) for each in found.arms)),
    ]
    if found.comparisons:
        lines += [(), *_comparisons(found, wide=wide, drawings=drawings)]
    ratio = found.sample_ratio
    if ratio is not None:
        verdict = Span(ratio.verdict, _VERDICTS.get(ratio.verdict, Style.WARN))
        lines += [(), line(Span("sample ratio ", Style.STRONG), verdict, f": {ratio.message}")]
    return tuple(lines)


def _style(found: ExperimentStatus) -> Style:
    if found.sample_ratio is not None and found.sample_ratio.verdict == "Mismatch":
        return Style.BAD
    differs = any(one.differs for one in found.comparisons)
    return Style.STRONG if differs else Style.PLAIN


def _arm(found: ExperimentStatus, arm: ArmStatus) -> list[Cell]:
    role = "shadow" if arm.shadow else "control" if arm.variant == found.control else ""
    return [
        arm.variant,
        role,
        arm.weight or "-",
        str(arm.requests),
        str(arm.errors),
        arm.error_rate or "-",
        arm.p50 or "-",
        arm.p95 or "-",
        arm.p99 or "-",
    ]


def _comparisons(found: ExperimentStatus, *, wide: bool, drawings: bool) -> tuple[Line, ...]:
    rows = [_row(found, each, drawings) for each in found.comparisons]
    if not wide:
        return table(_METRICS, rows)
    said = [each.message for each in found.comparisons]
    return table((*_METRICS, "MESSAGE"), ([*row, m] for row, m in zip(rows, said, strict=True)))


def _row(found: ExperimentStatus, one: ComparisonStatus, drawings: bool) -> list[Cell]:
    known = one.low is not None and one.high is not None
    same = [each for each in found.comparisons if each.metric == one.metric]
    return [
        one.metric,
        one.variant,
        one.control or "-",
        one.arm or "-",
        one.difference or "-",
        f"{one.low} to {one.high}" if known else "-",
        one.p_value or "-",
        drawn(one, same, drawings=drawings) or "-",
        Span("differs", Style.STRONG) if one.differs else "",
    ]


def drawn(one: ComparisonStatus, beside: Sequence[ComparisonStatus], *, drawings: bool) -> str:
    """The interval as a line, on one scale with those beside it; empty where it is not known.

    Its ends are the bounds, the dot is the difference, and 0 is marked on it or beside it.
    """
    low, point, high = map(_number, (one.low, one.difference, one.high))
    if low is None or point is None or high is None:
        return ""
    ends = [0.0, *_known(beside)]
    least, most = min(ends), max(ends)
    if least == most:
        return ""

    def at(value: float) -> int:
        return round((value - least) / (most - least) * (WIDTH - 1))

    bar, zero, left, right, dot, crossed = "─┊├┤●┼" if drawings else "-:||o+"
    cells = [" "] * WIDTH
    for place in range(at(low), at(high) + 1):
        cells[place] = bar
    cells[at(low)], cells[at(high)] = left, right
    cells[at(0)] = crossed if cells[at(0)] == bar else zero
    cells[min(max(at(point), at(low)), at(high))] = dot
    return "".join(cells).rstrip()


def _known(comparisons: Iterable[ComparisonStatus]) -> Iterable[float]:
    for one in comparisons:
        for text in (one.low, one.difference, one.high):
            value = _number(text)
            if value is not None and one.low is not None and one.high is not None:
                yield value


def _number(text: str | None) -> float | None:
    """A percentage or a number, as the status writes it."""
    try:
        return None if text is None else float(text.removesuffix("%"))
    except ValueError:
        return None


def as_document(picture: Picture) -> Json:
    """Always the same keys; what is not known is null."""
    found = picture.status.experiment
    shown = ExperimentStatus() if found is None else found
    document: Json = {
        "name": picture.name,
        "namespace": picture.resource.namespace,
        # The rest is the operator's memory.
        **shown.model_dump(mode="json", by_alias=True, exclude={"counted", "evidence"}),
    }
    return document
