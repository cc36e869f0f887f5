"""How many pods may each revision have, and who decides?"""

from dataclasses import replace
from datetime import datetime, timedelta

import pytest

from modelfleet_operator.api.spec import Spec
from modelfleet_operator.plan.replicas import asked
from modelfleet_operator.plan.traffic import LEFT
from modelfleet_operator.plan.types import Count
from modelfleet_operator.seen import Routing
from tests.unit.operator.builders import (
    NOW,
    address,
    autoscaled,
    pods,
    revision,
    seen,
    spec,
    verdict,
)
from tests.unit.operator.router.builders import arm, site

A, B, C = (revision(f"v{n}", n) for n in (1, 2, 3))
AUTO_A, AUTO_B = revision(autoscaled("v1"), 1), revision(autoscaled("v2"), 2)


@pytest.mark.parametrize(
    ("wanted", "number"),
    [
        pytest.param(spec(), 1, id="one where nothing is said"),
        pytest.param(spec(replicas=0), 0, id="none where none is asked for"),
        pytest.param(spec(replicas=4), 4, id="the number"),
        pytest.param(autoscaled(least=2), 2, id="the autoscaler's lower bound"),
    ],
)
def test_what_is_asked_for(wanted: Spec, number: int) -> None:
    assert asked(wanted) == number


def test_the_wanted_one_and_the_serving_one_get_what_is_asked_for() -> None:
    picture = seen(
        spec("v2", replicas=3),
        revisions=[A, B],
        pods=pods(A, 1),
        address=address(A, ready={A.name: 1}),
    )
    assert verdict(picture).replicas == {A.name: Count(3, 3), B.name: Count(3, 3)}


@pytest.mark.parametrize(
    ("present", "count"),
    [
        pytest.param({C.name: 1, A.name: 2}, 2, id="while its endpoints are behind the address"),
        pytest.param({C.name: 1}, 0, id="after the last of them is gone"),
    ],
)
def test_an_earlier_one_keeps_its_pods_until_nobody_can_be_sent_to_them(
    present: dict[str, int], count: int
) -> None:
    picture = seen(
        spec("v3"),
        revisions=[A, C],
        pods=[*pods(A, 2), *pods(C, 1)],
        address=address(C, ready={C.name: 1}, present=present),
    )
    assert verdict(picture).replicas[A.name] == Count(count, 0)


def test_one_that_was_overtaken_before_it_served_has_no_pods() -> None:
    picture = seen(
        spec("v3"),
        revisions=[A, B],
        pods=[*pods(A, 1), *pods(B, 0, of_all=2)],
        address=address(A, ready={A.name: 1}),
    )
    assert verdict(picture).replicas[B.name] == Count(0, 0)


def test_an_autoscaler_decides_and_gets_its_lower_bound() -> None:
    counts = verdict(seen(autoscaled("v1", least=2))).replicas
    assert counts[AUTO_A.name] == Count(None, 2)
    assert counts[AUTO_A.name].autoscaled


@pytest.mark.parametrize(
    ("running", "most", "least"),
    [
        pytest.param(6, 8, 6, id="as many as the load needs now"),
        pytest.param(6, 4, 4, id="but not more than are allowed"),
        pytest.param(1, 8, 2, id="and not fewer than are asked for"),
    ],
)
def test_who_takes_over_a_load_gets_the_pods_that_it_needs(
    running: int, most: int, least: int
) -> None:
    picture = seen(
        autoscaled("v2", least=2, most=most),
        revisions=[AUTO_A, AUTO_B],
        pods=pods(AUTO_A, 1),
        desired={AUTO_A.name: running},
        address=address(AUTO_A, ready={AUTO_A.name: 1}),
    )
    assert verdict(picture).replicas == {
        AUTO_A.name: Count(None, 2),
        AUTO_B.name: Count(None, least),
    }


def test_nobody_has_to_match_the_pods_of_one_that_never_served() -> None:
    picture = seen(
        autoscaled("v2"),
        revisions=[AUTO_A],
        pods=pods(AUTO_A, 0, of_all=6),
        address=address(AUTO_A),
    )
    assert verdict(picture).replicas[AUTO_B.name] == Count(None, 1)


@pytest.mark.parametrize(
    ("since", "count"),
    [
        pytest.param(None, 2, id="the address is about to leave them"),
        pytest.param(
            NOW - LEFT + timedelta(seconds=1), 2, id="somebody may have a connection still"
        ),
        pytest.param(NOW - LEFT, 0, id="nobody is sent to them any more"),
    ],
)
def test_routers_that_were_left_keep_the_pods_of_all_that_they_know(
    since: datetime | None, count: int
) -> None:
    """Whatever is written: one of them may serve the shares of before."""
    picture = seen(
        spec("v2"),
        revisions=[A, B],
        pods=[*pods(A, 2), *pods(B, 1)],
        address=address(B, ready={B.name: 1}),
    )
    told = site("digits", arms=(arm(B.name), arm(A.name)))
    counts = verdict(replace(picture, routing=Routing(told, left=told, leaving=since))).replicas
    assert counts[A.name] == Count(pods=count, least=0)
