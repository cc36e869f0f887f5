"""A verb is meant for the revision, the attempt and the step that its author saw."""

from dataclasses import replace
from random import Random

import pytest
from hypothesis import given
from hypothesis import strategies as st

from modelfleet_operator.api.status import Phase, RolloutStatus
from modelfleet_operator.plan.rollout.facts import FULL, Verbs
from modelfleet_operator.plan.verbs import Stamp, verbs
from tests.unit.operator.builders import resource

TOLD = RolloutStatus(candidate="digits-b", attempt=2, step=1, phase=Phase.HOLDING)


def said(**annotations: str) -> Verbs:
    marked = {f"modelfleet.dev/{verb}": text for verb, text in annotations.items()}
    return verbs(replace(resource(generation=7), annotations=marked), TOLD)


@pytest.mark.parametrize(
    ("annotations", "meant"),
    [
        ({}, Verbs()),
        ({"pause": "b/2/0"}, Verbs(paused=True)),
        ({"pause": "b/1/0"}, Verbs()),
        ({"promote": "b/2/1"}, Verbs(promoted=1)),
        ({"promote": "b/2/0"}, Verbs(promoted=0)),
        ({"promote": "b/2/1 all"}, Verbs(promoted=FULL)),
        ({"promote": "b/1/1"}, Verbs()),
        ({"promote": "c/2/1"}, Verbs()),
        ({"promote": "yes"}, Verbs()),
        ({"promote": "b/2"}, Verbs()),
        ({"promote": "b/2/-1"}, Verbs()),
        ({"abort": "b/2/0"}, Verbs(aborted=True)),
        ({"abort": "b/1/1"}, Verbs()),
        ({"retry": "b/2/1"}, Verbs(retried=True)),
        ({"retry": "b/1/1"}, Verbs()),
        # Beside those for other variants' rollouts.
        ({"pause": "c/1/0,b/2/0"}, Verbs(paused=True)),
        ({"pause": "c/1/0, d/2/0"}, Verbs()),
        ({"abort": "b/2/1, c/1/0"}, Verbs(aborted=True)),
        ({"retry": "yes, , b/2/1"}, Verbs(retried=True)),
        ({"promote": "b/2/1, c/1/0 all"}, Verbs(promoted=1)),
        ({"promote": "c/1/0 , b/2/1 all"}, Verbs(promoted=FULL)),
        ({"promote": "b/2/1,b/2/0"}, Verbs(promoted=1)),
        ({"promote": "b/2/1 all,b/2/1"}, Verbs(promoted=FULL)),
    ],
)
def test_what_is_meant(annotations: dict[str, str], meant: Verbs) -> None:
    assert said(**annotations) == meant


@given(
    own=st.lists(st.sampled_from(["b/2/0", "b/2/1", "b/2/0 all"]), max_size=2),
    others=st.lists(st.sampled_from(["c/2/1", "b/1/1 all", "d/0/0", "yes", ""]), max_size=4),
    order=st.randoms(use_true_random=False),
)
def test_what_is_said_to_others_changes_nothing_in_any_order(
    own: list[str], others: list[str], order: Random
) -> None:
    mixed = own + others
    order.shuffle(mixed)
    for verb in ("pause", "promote", "abort", "retry"):
        assert said(**{verb: ",".join(mixed)}) == said(**{verb: ",".join(own)})


def test_without_a_rollout_nothing_has_a_meaning() -> None:
    marked = {"modelfleet.dev/abort": "b/1/0", "modelfleet.dev/pause": "b/1/0"}
    assert verbs(replace(resource(), annotations=marked), None) == Verbs()


def test_another_generation_of_the_spec_changes_nothing() -> None:
    """As `kubectl scale` makes one, in the middle of a rollout."""
    marked = {"modelfleet.dev/pause": "b/2/1"}
    for generation in (7, 8):
        scaled = replace(resource(generation=generation), annotations=marked)
        assert verbs(scaled, TOLD).paused


def test_a_stamp_reads_as_it_is_written() -> None:
    assert Stamp.parse(str(Stamp("b", 1, 0))) == Stamp("b", 1, 0)
