"""A verb is meant for the spec, the attempt and the step that its author saw."""

from dataclasses import replace

import pytest

from modelfleet_operator.api.status import Phase, RolloutStatus, VariantStatus
from modelfleet_operator.plan.rollout.facts import FULL, Verbs
from modelfleet_operator.plan.verbs import Stamp, verbs
from tests.unit.operator.builders import resource

TOLD = VariantStatus(
    name="default",
    rollout=RolloutStatus(candidate="b", attempt=2, step=1, phase=Phase.HOLDING),
)


def said(**annotations: str) -> Verbs:
    marked = {f"modelfleet.dev/{verb}": text for verb, text in annotations.items()}
    return verbs(replace(resource(generation=7), annotations=marked), TOLD)


@pytest.mark.parametrize(
    ("annotations", "meant"),
    [
        ({}, Verbs()),
        ({"pause": "7"}, Verbs(paused=True)),
        ({"pause": "6"}, Verbs()),
        ({"promote": "7/2/1"}, Verbs(promoted=1)),
        ({"promote": "7/2/0"}, Verbs(promoted=0)),
        ({"promote": "7/2/1 all"}, Verbs(promoted=FULL)),
        ({"promote": "7/1/1"}, Verbs()),
        ({"promote": "6/2/1"}, Verbs()),
        ({"promote": "yes"}, Verbs()),
        ({"promote": "7/2"}, Verbs()),
        ({"promote": "7/2/-1"}, Verbs()),
        ({"abort": "7/2/0"}, Verbs(aborted=True)),
        ({"abort": "7/1/1"}, Verbs()),
        ({"retry": "7/2/1"}, Verbs(retried=True)),
        ({"retry": "7/1/1"}, Verbs()),
    ],
)
def test_what_is_meant(annotations: dict[str, str], meant: Verbs) -> None:
    assert said(**annotations) == meant


def test_without_a_rollout_only_a_pause_has_a_meaning() -> None:
    marked = {"modelfleet.dev/abort": "7/1/0", "modelfleet.dev/pause": "7"}
    assert verbs(replace(resource(generation=7), annotations=marked), None) == Verbs(paused=True)


def test_a_stamp_reads_as_it_is_written() -> None:
    assert Stamp.parse(str(Stamp(3, 1, 0))) == Stamp(3, 1, 0)
