"""What an experiment has found, in numbers and in words."""

import math
from collections.abc import Mapping

from modelfleet_operator.api.experiment import Goal
from modelfleet_operator.api.status import (
    ArmStatus,
    ComparisonStatus,
    ExperimentStatus,
    SampleRatioStatus,
)
from modelfleet_operator.statistics.counters import Traffic
from modelfleet_operator.statistics.experiment import Compared, Result, alpha_for, report
from modelfleet_operator.statistics.latency import quantile
from modelfleet_operator.statistics.trial import Measure, Metric, Trial

Goals = Mapping[str, Goal]
"""By the metric's name; of values alone, since fewer errors are always better."""


def of(known: Trial, alpha: float, goals: Goals) -> ExperimentStatus:
    """Without the operator's own memory."""
    keys = list(known.design.pairs())
    each = alpha_for(len(keys), alpha)
    results = {(arm, metric.name): known.result(arm, metric, each) for arm, metric in keys}
    found = report(results, valid=not known.mismatched, alpha=alpha).compared
    comparisons = tuple(
        _comparison(known, metric, one, goals.get(metric.name))
        for (_, metric), one in zip(keys, found, strict=True)
    )
    ratio = _ratio(known)
    return ExperimentStatus(
        control=known.design.control,
        message=_verdict(known, ratio, comparisons, found),
        arms=tuple(_arm(known, name) for name in known.design.arms),
        comparisons=comparisons,
        sample_ratio=ratio,
    )


def _arm(known: Trial, name: str) -> ArmStatus:
    traffic = known.traffic.get(name, Traffic())
    shown = traffic.requests or None
    whole, share = sum(known.shares.values()), known.shares.get(name)
    latency = traffic.latency
    p50, p95, p99 = (
        None if latency is None else _ms(quantile(latency, share)) for share in (0.5, 0.95, 0.99)
    )
    return ArmStatus(
        variant=name,
        weight=None if share is None else _percent(share / whole),
        shadow=name in known.design.shadows,
        requests=traffic.requests,
        errors=traffic.errors,
        error_rate=_percent(traffic.errors / shown if shown else None),
        p50=p50,
        p95=p95,
        p99=p99,
    )


def _comparison(
    known: Trial, metric: Metric, found: Compared, goal: Goal | None
) -> ComparisonStatus:
    result = found.result
    shown = _number if metric.measure is Measure.VALUE else _percent
    return ComparisonStatus(
        variant=found.arm,
        metric=metric.name,
        control=shown(result.control),
        arm=shown(result.arm),
        difference=shown(result.difference),
        low=shown(result.low),
        high=shown(result.high),
        p_value=p_text(found.p_value),
        differs=found.differs,
        message=_conclusion(known, metric, found, goal) + _assumed(known, found.arm, metric),
    )


def _conclusion(known: Trial, metric: Metric, found: Compared, goal: Goal | None) -> str:
    result, control = found.result, known.design.control
    if result.waits_for:
        return f"too early: {result.waits_for}"
    figures = f"{_figures(metric, result)}, p {p_text(found.p_value)}"
    limit = known.compared_limit(metric)
    about = f" in requests over {limit:g} ms" if limit is not None else ""
    if not found.differs:
        return f"no difference from {control} is shown{about}: {figures}"
    if result.low <= 0 <= result.high:
        # The evidence is of all segments, the interval of this one.
        return (
            f"it has differed from {control}{about}, and what is counted now leaves it open: "
            + (figures)
        )
    return f"{found.arm} {_words(metric, result, control, limit, goal)}: {figures}"


def _words(
    metric: Metric, result: Result, control: str, limit: float | None, goal: Goal | None
) -> str:
    higher = result.low > 0
    match metric.measure:
        case Measure.ERRORS:
            return f"has {'more' if higher else 'fewer'} errors than {control}"
        case Measure.SLOW:
            speed, count = ("slower", "more") if higher else ("faster", "fewer")
            return f"is {speed} than {control}, {count} requests take longer than {limit:g} ms"
        case Measure.VALUE:
            word = "higher" if higher else "lower"
            better = "" if goal is None else (
                ", which is better" if higher is (goal is Goal.HIGHER) else ", which is worse"
            )  # fmt: skip
            return f"has a {word} {metric.value} than {control}{better}"


def _figures(metric: Metric, result: Result) -> str:
    """`−0.8 % (−1.2 to −0.4)`"""
    factor, unit = (1, "") if metric.measure is Measure.VALUE else (100, " %")
    point, low, high = (
        _minus(f"{factor * value + 0.0:.3g}")
        for value in (result.difference or 0.0, result.low, result.high)
    )
    sign = "+" if (result.difference or 0) > 0 else ""
    return f"{sign}{point}{unit} ({low} to {high})"


def _assumed(known: Trial, arm: str, metric: Metric) -> str:
    """What was not measured is said."""
    if not known.design.sticky or known.measured(metric) or metric.measure is Measure.VALUE:
        return ""
    return (
        f"; callers stick to a variant, and that {known.effect(arm, metric):g} of their requests "
        "tell as much as one is assumed"
    )


def _ratio(known: Trial) -> SampleRatioStatus:
    sticky = known.design.sticky
    if not known.ratio_known:
        return SampleRatioStatus(verdict="Unknown", message=_UNKNOWN[sticky])
    counts = {
        arm: known.callers.of(arm).requests.whole
        if sticky
        else known.traffic.get(arm, Traffic()).sent
        for arm in known.shares
    }
    whole, parts = sum(counts.values()), sum(known.shares.values())
    shown = ", ".join(
        f"{arm} {_share(counts[arm], whole)} for {_share(share, parts)}"
        for arm, share in known.shares.items()
    )
    if not known.mismatched:
        return SampleRatioStatus(
            verdict="Ok", message=f"the requests are shared out as asked for: {shown}"
        )
    return SampleRatioStatus(
        verdict="Mismatch",
        message=(
            "something other than chance decides who gets which variant; requests since the shares "
            f"were changed: {shown}"
        ),
    )


_UNKNOWN = {
    False: "no requests yet",
    True: "callers stick to a variant, so shares are only told by callers, and the pods have seen "
    "too few of them",
}


def _verdict(
    known: Trial,
    ratio: SampleRatioStatus,
    comparisons: tuple[ComparisonStatus, ...],
    found: tuple[Compared, ...],
) -> str:
    if known.mismatched:
        return f"invalid, nothing can be concluded: {ratio.message}"
    shown = [one.message for one in comparisons if one.differs]
    if shown:
        return "; ".join(shown)
    waits = next((one for one in found if one.result.waits_for), None)
    if waits is not None:
        return f"too early: {waits.arm}, {waits.metric}: {waits.result.waits_for}"
    return "no difference is shown yet"


def p_text(p_value: float) -> str:
    return "<0.0001" if p_value < 0.0001 else f"{p_value:.2g}"


def _percent(share: float | None) -> str | None:
    return None if share is None else f"{100 * share:.3g}%"


def _share(part: float, whole: float) -> str:
    return f"{100 * part / whole:.3g} %" if whole else "0 %"


def _ms(value: float | None) -> str | None:
    if value is None:
        return None
    return f"{value:.0f}ms" if value >= 1000 else f"{value:.3g}ms"


def _number(value: float | None) -> str | None:
    return None if value is None or math.isinf(value) else f"{value:.4g}"


def _minus(text: str) -> str:
    return text.replace("-", "\N{MINUS SIGN}")
