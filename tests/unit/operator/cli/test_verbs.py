"""What each verb writes at each point of a rollout, or says instead."""

import re
from collections.abc import Callable

import pytest

from modelfleet_operator.api import labels
from modelfleet_operator.api.status import Phase, RolloutStatus, Status
from modelfleet_operator.cli import verbs
from modelfleet_operator.cli.exits import Refusal
from modelfleet_operator.cli.verbs import Saying
from modelfleet_operator.seen import Json, Resource
from tests.unit.operator.builders import NOW, spec_json
from tests.unit.operator.cli.cases import ROUTED, aborted, moving, resource, rollout, settled

HOLDS = moving(rollout())
LAST = moving(rollout(Phase.SHIFTING, "100 % of the traffic is on its way to it", step=2))
BACK = moving(rollout(Phase.ROLLING_BACK, "aborted", failed="aborted"))
FAILED = moving(aborted(), weight=0)
STUCK = moving(rollout(Phase.PAUSED, "failed, and waits for a person: p99 is 900ms"))
DIRECT = spec_json("v2")

Verb = Callable[[Resource], Saying]
ALL: tuple[Verb, ...] = (verbs.promote, verbs.abort, verbs.retry, verbs.pause)


def promote_all(of: Resource) -> Saying:
    return verbs.promote(of, every_step=True)


def restart(of: Resource) -> Saying:
    return verbs.restart(of, NOW)


def marks(**annotations: str | None) -> dict[str, str | None]:
    return {f"{labels.GROUP}/{verb}": text for verb, text in annotations.items()}


@pytest.mark.parametrize(
    ("verb", "status", "annotations", "writes", "says"),
    [
        (verbs.promote, HOLDS, {}, marks(promote="ccc/1/1"), "past step 2 of 2 (50 %)"),
        (verbs.promote, HOLDS, {"promote": "ccc/1/0"}, marks(promote="ccc/1/1"), "past step 2"),
        (verbs.promote, HOLDS, {"promote": "ccc/1/1"}, {}, "already"),
        (verbs.promote, HOLDS, {"promote": "ccc/1/1 all"}, {}, "already"),
        (verbs.promote, HOLDS, {"promote": "ddd/1/1"}, marks(promote="ccc/1/1"), "past step 2"),
        (verbs.promote, LAST, {}, {}, "no step left"),
        (promote_all, HOLDS, {}, marks(promote="ccc/1/1 all"), "past every step to revision 3"),
        (promote_all, HOLDS, {"promote": "ccc/1/1"}, marks(promote="ccc/1/1 all"), "every step"),
        (promote_all, HOLDS, {"promote": "ccc/1/0 all"}, {}, "already"),
        (verbs.abort, HOLDS, {}, marks(abort="ccc/1/1"), "goes back to revision 2 (version 1)"),
        (verbs.abort, HOLDS, {"promote": "ccc/1/1 all"}, marks(abort="ccc/1/1"), "goes back"),
        (verbs.abort, HOLDS, {"pause": "ccc/1/1"}, marks(abort="ccc/1/1"), "goes back"),
        (verbs.abort, LAST, {}, marks(abort="ccc/1/2"), "goes back"),
        (verbs.abort, STUCK, {}, marks(abort="ccc/1/1"), "goes back"),
        (verbs.abort, HOLDS, {"abort": "ccc/1/0"}, {}, "being rolled back already"),
        (verbs.abort, BACK, {}, {}, "being rolled back already"),
        (verbs.abort, FAILED, {}, {}, "rolled back already (aborted)"),
        (verbs.retry, FAILED, {}, marks(retry="ccc/1/1", abort=None), "tries revision 3"),
        (verbs.retry, FAILED, {"abort": "ccc/1/1"}, marks(retry="ccc/1/1", abort=None), "tries"),
        (verbs.retry, FAILED, {"retry": "ccc/1/1"}, {}, "already"),
        (
            verbs.retry,
            FAILED,
            {"pause": "ccc/1/1"},
            marks(retry="ccc/1/1", abort=None),
            "tries revision 3",
        ),
        (verbs.retry, BACK, {}, marks(retry="ccc/1/1", abort=None), "tries revision 3"),
        (verbs.pause, HOLDS, {}, marks(pause="ccc/1/1"), "stays where it is"),
        (verbs.pause, HOLDS, {"pause": "ccc/1/1"}, {}, "already"),
        (verbs.pause, HOLDS, {"pause": "ddd/1/1"}, marks(pause="ccc/1/1"), "stays where it is"),
        (verbs.resume, HOLDS, {"pause": "ccc/1/1"}, marks(pause=None), "goes on"),
        (verbs.resume, HOLDS, {}, {}, "is not paused"),
        (verbs.resume, settled(), {}, {}, "is not paused"),
        (restart, settled(), {}, marks(restart="2026-03-01T12:00:00Z"), "as a new revision"),
        (restart, HOLDS, {}, marks(restart="2026-03-01T12:00:00Z"), "as a new revision"),
    ],
)
def test_what_is_written(
    verb: Verb, status: Status, annotations: dict[str, str], writes: Json, says: str
) -> None:
    saying = verb(resource(status, annotations=annotations))
    assert saying.annotations == writes
    assert says in saying.says


@pytest.mark.parametrize(
    ("verb", "status", "annotations", "instead"),
    [
        (verbs.promote, settled(), {}, "revision 3 (version 2) serves; a change of spec.model"),
        (verbs.promote, FAILED, {}, "`modelfleet retry digits` tries it again"),
        (verbs.promote, BACK, {}, "was rolled back (aborted)"),
        (verbs.promote, HOLDS, {"abort": "ccc/1/1"}, "an abort wins"),
        (verbs.promote, HOLDS, {"pause": "ccc/1/1"}, "say `modelfleet resume digits` first"),
        (verbs.promote, STUCK, {}, "`modelfleet abort digits` gives all traffic back"),
        (verbs.promote, settled(None), {}, "no revision has served yet"),
        (verbs.abort, settled(), {}, "`modelfleet undo digits` goes back to the revision before"),
        (verbs.retry, settled(), {}, "`modelfleet restart digits` starts the same content"),
        (verbs.retry, HOLDS, {}, "`modelfleet status digits --watch` shows how it goes on"),
        (verbs.retry, HOLDS, {"abort": "ccc/1/1"}, "being rolled back at this moment"),
        (verbs.retry, STUCK, {}, "`modelfleet abort digits` first, and then retry"),
        (verbs.pause, settled(), {}, "nothing to pause"),
        (verbs.pause, FAILED, {}, "was rolled back (aborted), so there is nothing to pause"),
        (verbs.resume, STUCK, {}, "nobody paused digits"),
    ],
)
def test_what_is_refused_says_what_to_do_instead(
    verb: Verb, status: Status, annotations: dict[str, str], instead: str
) -> None:
    with pytest.raises(Refusal, match=re.escape(instead)):
        verb(resource(status, annotations=annotations))


@pytest.mark.parametrize("verb", ALL)
def test_a_status_that_is_older_than_the_spec_bears_no_verb(verb: Verb) -> None:
    with pytest.raises(Refusal, match="speaks of generation 4, and the spec is at 5"):
        verb(resource(HOLDS, generation=5))


@pytest.mark.parametrize("verb", ALL)
def test_without_an_operator_there_is_nothing_to_say(verb: Verb) -> None:
    with pytest.raises(Refusal, match="the operator has not looked at digits yet"):
        verb(resource(None))


@pytest.mark.parametrize("verb", ALL)
def test_a_plain_service_has_no_steps(verb: Verb) -> None:
    with pytest.raises(Refusal, match=r"a plain Service moves .* `modelfleet undo digits`"):
        verb(resource(moving(None, weight=0), spec=DIRECT))


@pytest.mark.parametrize("verb", [*ALL, restart])
def test_what_is_being_deleted_is_left_alone(verb: Verb) -> None:
    with pytest.raises(Refusal, match="is being deleted"):
        verb(resource(HOLDS, deletionTimestamp="2026-03-01T12:00:00Z"))


def test_what_is_stopped_is_not_restarted() -> None:
    with pytest.raises(Refusal, match=r"replicas is 0.*--replicas 1"):
        restart(resource(settled(), spec=spec_json("v2", **ROUTED, replicas=0)))


@pytest.mark.parametrize("told", [rollout(), aborted(), rollout(Phase.STARTING, "1 of 2")])
@pytest.mark.parametrize("verb", [promote_all, *ALL])
def test_saying_it_twice_is_saying_it_once(verb: Verb, told: RolloutStatus) -> None:
    status = moving(told)
    try:
        first = verb(resource(status))
    except Refusal:
        return
    marked = {key.partition("/")[2]: text for key, text in first.annotations.items() if text}
    assert verb(resource(status, annotations=marked)).annotations == {}


# -- blue and green, and the time to bake

GREEN = spec_json(
    "v2",
    routing={"mode": "Router"},
    rollout={"strategy": "BlueGreen", "preview": {"untilPromoted": True}, "bake": "10m"},
)


@pytest.mark.parametrize(
    ("told", "writes", "says"),
    [
        (rollout(step=0), marks(promote="ccc/1/0"), "goes past the preview"),
        (rollout(message="bakes for 10m", step=1), marks(promote="ccc/1/1"), "the time to bake"),
        (rollout(Phase.SHIFTING, step=1), {}, "no step left"),
    ],
)
def test_a_preview_and_a_bake_are_promoted_as_steps_are(
    told: RolloutStatus, writes: Json, says: str
) -> None:
    saying = verbs.promote(resource(moving(told), spec=GREEN))
    assert saying.annotations == writes
    assert says in saying.says
