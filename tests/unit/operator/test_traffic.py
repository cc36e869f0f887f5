"""When may the address move?"""

from dataclasses import replace

import pytest

from modelfleet_operator.api.status import Status, VariantStatus
from modelfleet_operator.plan.traffic import routers_serve
from modelfleet_operator.plan.types import Switch
from modelfleet_operator.router import routes
from modelfleet_operator.seen import Observed, RouterPod, Routing
from tests.unit.operator.builders import (
    address,
    autoscaled,
    pods,
    revision,
    seen,
    spec,
    verdict,
)
from tests.unit.operator.router.builders import site

A, B = revision("v1", 1), revision("v2", 2)
STABLE_A = Status(variants=(VariantStatus(name="default", stable=A.name),))


def switch(picture: Observed) -> Switch:
    return verdict(picture).switch


def changing(ready: int, *, of: int = 2, stable: int = 2) -> Observed:
    """A serves, B is wanted and has so many pods ready."""
    return seen(
        spec("v2", replicas=of),
        revisions=[A, B],
        pods=[*pods(A, stable, of_all=2), *pods(B, ready, of_all=of)],
        address=address(A, ready={A.name: stable}),
        status=STABLE_A,
    )


def test_the_first_revision_has_the_address_before_it_is_ready() -> None:
    assert switch(seen(spec("v1"))) == Switch(A.name, moved=True)


def test_the_address_stays_where_it_is_wanted() -> None:
    picture = seen(spec("v1"), revisions=[A], pods=pods(A, 1), address=address(A))
    assert switch(picture) == Switch(A.name, moved=False)


def test_one_that_never_was_ready_is_left_at_once() -> None:
    picture = seen(spec("v2"), revisions=[A], pods=pods(A, 0, of_all=1), address=address(A))
    assert switch(picture) == Switch(B.name, moved=True)


def test_the_address_waits_for_every_pod_that_is_needed() -> None:
    assert switch(changing(1)) == Switch(A.name, False, "1 of 2 pods are ready")
    assert switch(changing(2)) == Switch(B.name, moved=True)


def test_pods_that_were_told_to_go_do_not_count_although_they_are_still_ready() -> None:
    """Going back to a revision in the moment after its Deployment was scaled down."""
    picture = seen(
        spec("v1", replicas=2),
        revisions=[A, B],
        pods=[*pods(A, 2), *pods(B, 2)],
        desired={A.name: 0},
        address=address(B, ready={B.name: 2}),
    )
    assert switch(picture) == Switch(B.name, False, "0 of 2 pods are ready")


def test_a_proven_one_is_kept_even_while_all_its_pods_are_away() -> None:
    assert switch(changing(1, stable=0)).to == A.name


def test_a_revision_with_more_pods_than_are_asked_for_may_take_over() -> None:
    assert switch(changing(2, of=2)).moved
    assert switch(changing(3, of=3)).moved


def test_with_no_replicas_the_address_follows_the_spec() -> None:
    assert switch(changing(0, of=0)) == Switch(B.name, moved=True)


def test_under_an_autoscaler_the_load_of_the_moment_has_to_be_matched() -> None:
    one, two = revision(autoscaled("v1"), 1), revision(autoscaled("v2"), 2)

    def picture(ready: int) -> Observed:
        return seen(
            autoscaled("v2"),
            revisions=[one, two],
            pods=[*pods(one, 5), *pods(two, ready)],
            address=address(one, ready={one.name: 5}),
        )

    assert switch(picture(4)) == Switch(one.name, False, "4 of 5 pods are ready")
    assert switch(picture(5)).moved


def test_a_lost_address_comes_back_to_what_answers() -> None:
    picture = seen(
        spec("v2", replicas=2),
        revisions=[A, B],
        pods=[*pods(A, 2), *pods(B, 1, of_all=2)],
        address=None,
    )
    assert switch(picture) == Switch(A.name, False, "1 of 2 pods are ready")
    assert verdict(picture).replicas[A.name].pods == 2


# -- behind routers

SITE = site("digits", A.name)
SERVES = RouterPod("one", ready=True, version=routes.version(SITE), reached={A.name: 2})
OLD = replace(SERVES, name="two", version="1-old")
BLIND = replace(SERVES, name="two", reached={A.name: 0})
STARTING = replace(OLD, ready=False)


@pytest.mark.parametrize(
    ("routers", "moves"),
    [
        pytest.param([SERVES, SERVES], True, id="every router serves it"),
        pytest.param([SERVES, STARTING], True, id="one is not behind the address yet"),
        pytest.param([SERVES, OLD], False, id="one takes requests, and does not know it"),
        pytest.param([SERVES, BLIND], False, id="one reaches no pod"),
        pytest.param([STARTING], False, id="none takes requests"),
        pytest.param([], False, id="there is none"),
    ],
)
def test_the_address_of_one_that_is_served_goes_to_routers_that_all_serve_it(
    routers: list[RouterPod], moves: bool
) -> None:
    picture = replace(changing(0), routing=Routing(SITE, routers=tuple(routers)))
    assert routers_serve(picture, SITE) is moves


def test_a_first_deployment_has_the_routers_at_once() -> None:
    assert routers_serve(seen(spec("v1")), SITE)


def test_the_address_stays_with_the_routers_whatever_they_serve() -> None:
    behind = replace(address(None), through_routers=True)
    picture = replace(seen(spec("v1"), address=behind), routing=Routing(SITE, routers=(OLD,)))
    assert routers_serve(picture, SITE)
