"""Which variant's rollout a verb is meant for, and what it leaves to the others."""

import re
from collections.abc import Callable
from typing import Any

import pytest

from modelfleet_operator.api import labels
from modelfleet_operator.api.status import Phase, Status
from modelfleet_operator.cli import verbs
from modelfleet_operator.cli.exits import Missing, Refusal
from modelfleet_operator.cli.verbs import Saying
from modelfleet_operator.plan import verbs as operators
from modelfleet_operator.plan.rollout.facts import Verbs
from modelfleet_operator.seen import Json, Resource
from tests.unit.operator.builders import NOW
from tests.unit.operator.cli.cases import (
    ARMS,
    CONTROL_NEW,
    aborted,
    arms,
    moving,
    resource,
    rollout,
)

HOLDS = rollout()
BACK = rollout(Phase.ROLLING_BACK, "aborted", failed="aborted")
STUCK = rollout(Phase.PAUSED, "failed, and waits for a person: p99 is 900ms")
CONTROL = rollout(step=0, candidate=CONTROL_NEW)

ONE = arms(challenger=HOLDS)
BOTH = arms(CONTROL, HOLDS)
MIXED = arms(aborted(CONTROL_NEW), HOLDS)
FAILED = arms(aborted(CONTROL_NEW), aborted())

Verb = Callable[..., Saying]
ALL: tuple[Verb, ...] = (verbs.promote, verbs.abort, verbs.retry, verbs.pause, verbs.resume)


def of(status: Status, **annotations: str) -> Resource:
    return resource(status, annotations=annotations, spec=ARMS)


def marks(**annotations: str | None) -> dict[str, str | None]:
    return {f"{labels.GROUP}/{verb}": text for verb, text in annotations.items()}


def after(found: Resource, saying: Saying) -> dict[str, str]:
    """The annotations, without their group, when it is written."""
    merged = {**found.annotations, **saying.annotations}
    return {key.partition("/")[2]: text for key, text in merged.items() if text is not None}


def heard(status: Status, annotations: dict[str, str]) -> dict[str, Verbs]:
    """What the operator makes of it, by variant."""
    found = of(status, **annotations)
    return {each.name: operators.verbs(found, each.rollout) for each in status.variants}


@pytest.mark.parametrize(
    ("verb", "status", "only", "said", "writes", "says"),
    [
        # The only one to which it applies.
        (verbs.promote, ONE, None, {}, marks(promote="ccc/1/1"),
         "variant challenger of digits goes past step 2 of 2"),
        (verbs.promote, MIXED, None, {}, marks(promote="ccc/1/1"), "variant challenger"),
        (verbs.abort, MIXED, None, {}, marks(abort="ccc/1/1"), "goes back to revision 2"),
        (verbs.pause, MIXED, None, {}, marks(pause="ccc/1/1"), "variant challenger"),
        (verbs.retry, MIXED, None, {}, marks(retry="ggg/1/1", abort=None),
         "variant control of digits tries revision 3 (version 4) again"),
        (verbs.retry, arms(CONTROL, BACK), None, {}, marks(retry="ccc/1/1", abort=None),
         "variant challenger"),
        # The one that is named.
        (verbs.promote, BOTH, "control", {}, marks(promote="ggg/1/0"), "step 1 of 2 (5 %)"),
        (verbs.abort, BOTH, "challenger", {}, marks(abort="ccc/1/1"), "variant challenger"),
        (verbs.abort, MIXED, "control", {}, {}, "is rolled back already"),
        # Beside what was said to the other, and without what holds for nobody.
        (verbs.pause, BOTH, "control", {"pause": "ccc/1/1"}, marks(pause="ccc/1/1, ggg/1/0"), ""),
        (verbs.pause, BOTH, "control", {"pause": "ccc/9/1, zzz/1/0, yes"}, marks(pause="ggg/1/0"),
         ""),
        (verbs.abort, BOTH, "challenger", {"abort": "ggg/1/0"}, marks(abort="ggg/1/0, ccc/1/1"),
         ""),
        (verbs.promote, BOTH, "control", {"promote": "ccc/1/1 all"},
         marks(promote="ccc/1/1 all, ggg/1/0"), ""),
        (verbs.promote, BOTH, "control", {"promote": "ggg/1/9, ccc/1/0"},
         marks(promote="ccc/1/0, ggg/1/0"), ""),
        (verbs.pause, BOTH, "control", {"pause": "ccc/1/1, ggg/1/0"}, {}, "paused already"),
        # Only its own is taken away.
        (verbs.resume, BOTH, "control", {"pause": "ccc/1/1, ggg/1/0"}, marks(pause="ccc/1/1"),
         "variant control of digits goes on"),
        (verbs.resume, BOTH, None, {"pause": "ccc/1/1"}, marks(pause=None), "variant challenger"),
        (verbs.resume, BOTH, "control", {"pause": "ccc/1/1"}, {}, "digits is not paused"),
        (verbs.resume, BOTH, None, {}, {}, "digits is not paused"),
        (verbs.resume, BOTH, None, {"pause": "zzz/1/0"}, marks(pause=None), "digits goes on"),
        (verbs.retry, FAILED, "control", {"abort": "ggg/1/1, ccc/1/1", "retry": "ccc/1/1"},
         marks(retry="ccc/1/1, ggg/1/1", abort="ccc/1/1"), "variant control"),
    ],
)  # fmt: skip
def test_what_is_written_of_several(
    verb: Verb, status: Status, only: str | None, said: dict[str, str], writes: Json, says: str
) -> None:
    saying = verb(of(status, **said), only)
    assert saying.annotations == writes
    assert says in saying.says


@pytest.mark.parametrize(
    ("verb", "status", "only", "instead"),
    [
        (verbs.promote, BOTH, None,
         ("variants control and challenger of digits have a rollout each, so say which to promote: "
          "`modelfleet promote digits --variant control` or "
          "`modelfleet promote digits --variant challenger`")),
        (verbs.retry, FAILED, None, "`modelfleet retry digits --variant control` or"),
        (verbs.promote, FAILED, None, "so say which to promote"),
        (verbs.promote, MIXED, "control",
         "`modelfleet retry digits --variant control` tries it again"),
        (verbs.promote, ONE, "control",
         "rollout of variant control of digits is on its way, and revision 3 (version 4) serves"),
        (verbs.abort, ONE, "control",
         "`modelfleet undo digits --variant control` goes back to the revision before"),
        (verbs.abort, arms(), None,
         ("no variant of digits rolls out (control and challenger); "
          "`modelfleet undo digits --variant NAME`")),
        (verbs.resume, arms(challenger=STUCK), None,
         ("nobody paused variant challenger of digits: it failed, and waits for a person: p99 is "
          "900ms; `modelfleet abort digits --variant challenger`")),
    ],
)  # fmt: skip
def test_what_is_refused_of_several_says_what_to_write(
    verb: Verb, status: Status, only: str | None, instead: str
) -> None:
    with pytest.raises(Refusal, match=re.escape(instead)):
        verb(of(status), only)


@pytest.mark.parametrize("verb", ALL)
def test_a_name_that_is_not_there_names_those_that_are(verb: Verb) -> None:
    with pytest.raises(Missing, match="no variant treatment: it has control and challenger"):
        verb(of(BOTH), "treatment")


@pytest.mark.parametrize("verb", [verbs.promote, verbs.abort, verbs.pause])
@pytest.mark.parametrize("first", ["control", "challenger"])
def test_said_to_both_one_after_the_other_it_holds_for_both(verb: Verb, first: str) -> None:
    said: dict[str, str] = {}
    for name in sorted(["control", "challenger"], key=lambda name: name != first):
        found = of(BOTH, **said)
        said = after(found, verb(found, name))
    both = heard(BOTH, said)
    assert both["control"] != Verbs() != both["challenger"]
    found = of(BOTH, **said)
    assert all(not verb(found, name).annotations for name in both), "said twice is said once"


def test_a_second_abort_is_never_meant_for_another_variant() -> None:
    """Whoever says it twice had one rollout in mind."""
    found = of(BOTH, abort="ccc/1/1")
    with pytest.raises(Refusal, match="so say which to abort"):
        verbs.abort(found)


def test_a_rollout_that_has_begun_again_is_told_nothing_old() -> None:
    """What was said to the attempt before is left out with the next word to anybody."""
    second = rollout(attempt=2)
    found = of(arms(CONTROL, second), abort="ccc/1/1")
    assert after(found, verbs.abort(found, "control")) == {"abort": "ggg/1/0"}


@pytest.mark.parametrize(
    ("told", "only", "about"),
    [(ONE, None, "challenger"), (BOTH, "control", "control")],
)
def test_a_saying_tells_whose_rollout_is_to_be_waited_for(
    told: Status, only: str | None, about: str
) -> None:
    assert verbs.promote(of(told), only).variant == about


def test_of_one_variant_nothing_is_named() -> None:
    """The operator calls it default, and that is as good as no flag."""
    found = resource(moving(HOLDS))
    assert verbs.pause(found, "default") == verbs.pause(found)
    assert verbs.pause(found).says == "digits stays where it is"


# -- restart


def stopped(control: int, challenger: int) -> Json:
    first, second = ARMS["variants"]
    return ARMS | {"variants": [{**first, "replicas": control}, {**second, "replicas": challenger}]}


def test_every_variant_starts_anew() -> None:
    saying = verbs.restart(of(BOTH), NOW)
    assert saying.says == "every variant of digits starts anew, as a new revision"
    assert saying.variant is None


@pytest.mark.parametrize(("replicas", "refused"), [((0, 0), True), ((0, 1), False)])
def test_a_restart_needs_one_that_runs(replicas: tuple[int, int], refused: bool) -> None:
    found: Any = resource(arms(), spec=stopped(*replicas))
    if not refused:
        assert verbs.restart(found, NOW).annotations
        return
    with pytest.raises(Refusal, match="nothing to restart: write more replicas"):
        verbs.restart(found, NOW)
