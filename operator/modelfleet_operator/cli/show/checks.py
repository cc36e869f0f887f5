"""The analysis of a step, check by check."""

from modelfleet_operator.api.status import AnalysisStatus, CheckStatus
from modelfleet_operator.cli.styled import Cell, Line, Span, Style, line, table

_HEAD = (
    "CHECK", "VERDICT", "REQUESTS", "FAILURES", "RATE", "BETWEEN", "STABLE", "DIFFERENCE",
    "EVIDENCE", "MORE",
)  # fmt: skip
_VERDICTS = {"Harmful": Style.BAD, "Harmless": Style.GOOD, "Open": Style.WARN}
_ACTIONS = {"Next": Style.GOOD, "RollBack": Style.BAD, "Pause": Style.WARN, "Hold": Style.WARN}


def checks(analysis: AnalysisStatus, steps: int) -> tuple[Line, ...]:
    """What was found, and how much more is needed before the step passes."""
    verdict = Span(analysis.verdict or "Open", _ACTIONS.get(analysis.action, Style.PLAIN))
    more = "" if not analysis.more else f", about {analysis.more} more are needed"
    head = line(
        Span("analysis", Style.STRONG),
        f" of step {analysis.step + 1} of {steps}: " if analysis.step < steps else " at 100 %: ",
        verdict,
        f" after {analysis.requests} requests{more}",
    )
    lines = [head]
    if analysis.estimate:
        lines.append(line("  ", Span(analysis.estimate, Style.FAINT)))
    if analysis.message:
        lines.append(line("  ", " ".join(analysis.message.split())))
    if analysis.missed:
        lines.append(line("  ", Span(f"no router could be read {analysis.missed} times in a row",
                                     Style.WARN)))  # fmt: skip
    if analysis.checks:
        lines += table(_HEAD, map(_row, analysis.checks), indent="  ")
    return tuple(lines)


def _row(check: CheckStatus) -> list[Cell]:
    verdict = Span(check.verdict, _VERDICTS.get(check.verdict, Style.PLAIN))
    if check.limit is not None:  # a query's: it counts no requests
        bad = f"{check.beyond} in a row" if check.beyond else ""
        return [check.name, verdict, "", "", check.value or "-", check.limit, "", "", bad, ""]
    stable = ""
    if check.stable_requests is not None:
        rate = check.stable_rate or "-"
        stable = f"{rate} of {check.stable_requests}"
    between = f"{check.low} to {check.high}" if check.low and check.high else ""
    evidence = f"{check.harm} of {check.harm_needed}" if check.harm else ""
    return [
        check.name,
        verdict,
        str(check.requests),
        str(check.failures),
        check.rate or "",
        between,
        stable,
        check.difference or "",
        evidence,
        "" if check.more is None else str(check.more),
    ]
