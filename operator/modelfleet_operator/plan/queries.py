"""What a Prometheus says of the new revision: is it within its limits?

    answer      what is remembered                  the check is
    good        no look in a row is bad any more    Harmless
    bad         one more look in a row              Open, and Harmful from `failures` on
    none        one more look in a row without      Open; after more than MISSED, no data

The looks in a row stand in the check itself, beside what people read there. A check that is Harmful
stays so, whatever comes next: nobody is asked any more.

With what the routers' counters show (`statistics/gate.py`), the first that holds decides:

    the counters say to roll back              as they do
    a query is Harmful                         Fail, roll back
    a query has no data                        Stale, as onNoData says; Proceed: it does not count
    the counters hold or pause                 as they do; in warm-up nobody is asked
    a query is Open, and the step is late      Timeout, as onTimeout says; it speaks against it
    a query is Open                            hold
    otherwise                                  as the counters do: next step
"""

import hashlib
import json
import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace

from modelfleet_operator.api.analysis import PLACEHOLDERS, Query
from modelfleet_operator.api.status import CheckStatus
from modelfleet_operator.seen import Answer
from modelfleet_operator.statistics.findings import Shown
from modelfleet_operator.statistics.gate import MISSED, Action, Judgement, Verdict
from modelfleet_operator.statistics.policy import OnNoData, OnTimeout, Policy

UNSET = (
    "the operator has no Prometheus to ask: its chart takes the address of one as prometheus.url"
)
NOT_YET = "it is asked after the warm-up"
_PLACEHOLDER = re.compile(rf"\{{\{{({'|'.join(PLACEHOLDERS)})\}}\}}")


@dataclass(frozen=True, slots=True)
class Asked:
    """One query of a spec, as this rollout asks it."""

    query: Query
    expression: str
    """With the names of this rollout in it."""

    @property
    def check(self) -> str:
        # No other check's name begins so.
        return f"query {self.query.name}"

    @property
    def digest(self) -> str:
        """Stands for all that the looks in a row depend on."""
        one = self.query
        text = json.dumps([self.expression, one.max, one.min, one.failures])
        return hashlib.sha256(text.encode()).hexdigest()[:8]


def asked(queries: Iterable[Query], names: Mapping[str, str]) -> tuple[Asked, ...]:
    """`names`: what stands for each placeholder."""
    return tuple(
        Asked(one, _PLACEHOLDER.sub(lambda found: names[found[1]], one.query)) for one in queries
    )


# -- one look at one query


def unasked(each: Asked, before: Iterable[CheckStatus], *, unset: bool) -> CheckStatus:
    """The check at a look at which nobody was asked. `unset`: there is nobody."""
    told = _told(each, before)
    if unset:  # more looks would change nothing
        return _check(each, told.value, told.beyond or 0, MISSED + 1, UNSET)
    return told


def looked(each: Asked, before: Iterable[CheckStatus], answer: Answer) -> CheckStatus:
    """The check after one more look."""
    told, query = _told(each, before), each.query
    beyond, missed = told.beyond or 0, told.missed or 0
    if answer.value is None:
        missed += 1
        looks = "this look" if missed == 1 else f"the last {missed} looks"
        return _check(each, None, beyond, missed, f"no answer at {looks}: {answer.unread}")
    value = f"{answer.value:.6g}"
    if _is_good(query, answer.value):
        return _check(each, value, 0, 0, f"{value}, {_limit(query)} is good")
    beyond += 1
    says = f"{value}, {_limit(query)} is good: {beyond} of {query.failures} looks in a row"
    return _check(each, value, beyond, 0, says)


def is_harmful(check: CheckStatus) -> bool:
    return check.verdict == Shown.HARMFUL.value


def _told(each: Asked, before: Iterable[CheckStatus]) -> CheckStatus:
    """As it was told last, if it was this very query with these limits."""
    for check in before:
        if check.name == each.check and check.asked == each.digest:
            return check
    return _check(each, None, 0, 0, NOT_YET)


def _check(each: Asked, value: str | None, beyond: int, missed: int, says: str) -> CheckStatus:
    shown = Shown.OPEN
    if beyond >= each.query.failures:
        shown = Shown.HARMFUL
    elif value is not None and not beyond:
        shown = Shown.HARMLESS
    return CheckStatus(
        name=each.check,
        verdict=shown.value,
        value=value,
        limit=_limit(each.query),
        beyond=beyond,
        missed=missed,
        asked=each.digest,
        message=says,
    )


def _is_good(query: Query, value: float) -> bool:
    below = query.max is None or value <= float(query.max)
    return below and (query.min is None or value >= float(query.min))


def _limit(query: Query) -> str:
    if query.min is None:
        return f"at most {query.max}"
    if query.max is None:
        return f"at least {query.min}"
    return f"{query.min} to {query.max}"


# -- with what the counters show


def joined(
    judged: Judgement, checks: tuple[CheckStatus, ...], policy: Policy, *, late: bool
) -> Judgement:
    """`judged` with the queries' word. `late`: the step has had its time."""
    if judged.action is Action.ROLL_BACK:
        return judged
    if bad := next(filter(is_harmful, checks), None):
        return _so(judged, Verdict.FAIL, Action.ROLL_BACK, bad)
    without = [check for check in checks if (check.missed or 0) > MISSED]
    if without and policy.on_no_data is not OnNoData.PROCEED:
        fails = policy.on_no_data is OnNoData.FAIL
        return _so(judged, Verdict.STALE, Action.ROLL_BACK if fails else Action.HOLD, without[0])
    still = [c for c in checks if c.verdict == Shown.OPEN.value and c not in without]
    if judged.action is not Action.NEXT or not still:
        return judged
    against = next((check for check in still if check.beyond), None)
    if against is None:
        return _so(judged, Verdict.WAIT, Action.HOLD, still[0])
    if not late:
        return _so(judged, Verdict.UNDECIDED, Action.HOLD, against)
    goes_back = policy.on_timeout is OnTimeout.ROLLBACK
    action = Action.ROLL_BACK if goes_back else Action.PAUSE
    timeout = _so(judged, Verdict.TIMEOUT, action, against)
    return replace(timeout, says=f"not decided within {policy.max_wait:g} s. {timeout.says}")


def _so(judged: Judgement, verdict: Verdict, action: Action, check: CheckStatus) -> Judgement:
    return replace(judged, verdict=verdict, action=action, says=f"{check.name}: {check.message}")
