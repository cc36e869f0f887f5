"""How variants share the traffic."""

from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from modelfleet_operator.plan.shares import Claim, composed, decide
from modelfleet_operator.router.site import WHOLE

SERVED = True


def claim(asked: int, now: int = 0, usable: int = 2, demand: int = 2) -> Claim:
    return Claim(asked * 100, now * 100, usable, demand, answers=usable > 0)


def percent(given_: dict[str, int]) -> dict[str, float]:
    return {name: parts / 100 for name, parts in given_.items() if parts}


@pytest.mark.parametrize(
    ("claims", "served", "expected"),
    [
        pytest.param(
            {"a": claim(80), "b": claim(20)}, SERVED, {"a": 80, "b": 20}, id="at the beginning"
        ),
        pytest.param(
            {"a": claim(80, usable=0), "b": claim(20, usable=0)},
            SERVED,
            {"a": 80, "b": 20},
            id="nobody is there yet, and nobody can be lost",
        ),
        pytest.param(
            {"a": claim(80, 100), "b": claim(20, usable=1)},
            SERVED,
            {"a": 100},
            id="one that is short of pods gets nothing yet",
        ),
        pytest.param(
            {"a": claim(50, 100), "b": claim(30), "c": claim(20, usable=0)},
            SERVED,
            {"a": 62.5, "b": 37.5},
            id="the share of one that is not there goes to the others by theirs",
        ),
        pytest.param(
            {"a": claim(80, 80), "b": claim(20, 20, usable=0)},
            SERVED,
            {"a": 100},
            id="one without a pod lends what it has",
        ),
        pytest.param(
            {"a": claim(80, 80), "b": claim(20, 20, usable=0)},
            not SERVED,
            {"a": 100},
            id="it lends at once, whatever is on its way",
        ),
        pytest.param(
            {"a": claim(80, 80), "b": claim(20, 20, usable=1)},
            SERVED,
            {"a": 80, "b": 20},
            id="one that lost a pod keeps what it has",
        ),
        pytest.param(
            {"a": claim(20, 80), "b": claim(80, 20, usable=1)},
            SERVED,
            {"a": 80, "b": 20},
            id="but grows only with its pods",
        ),
        pytest.param(
            {"a": claim(50, 80), "b": claim(50, 20)},
            not SERVED,
            {"a": 80, "b": 20},
            id="no shift begins before the one before it is served",
        ),
        pytest.param(
            {"a": claim(80, usable=0), "b": claim(20, usable=0), "old": claim(0, 100)},
            SERVED,
            {"old": 100},
            id="one that leaves stays until the others are there",
        ),
        pytest.param(
            {"a": claim(80), "b": claim(20, usable=0), "old": claim(0, 100)},
            SERVED,
            {"a": 100},
            id="and goes when one of them is",
        ),
        pytest.param(
            {
                "a": claim(80, usable=0),
                "b": claim(20, usable=0),
                "old": replace(claim(0, 0), leaving=True),
            },
            SERVED,
            {"old": 100},
            id="a deployment that comes to its routers begins with what serves",
        ),
        pytest.param(
            {"a": claim(100, 100, usable=0), "shadow": claim(0)},
            SERVED,
            {"a": 100},
            id="a shadow answers nobody, whoever is away",
        ),
        pytest.param(
            {"a": replace(claim(80, 80, usable=0), answers=True), "b": claim(20, 20)},
            SERVED,
            {"a": 80, "b": 20},
            id="one that a single router does not reach keeps what it has",
        ),
        pytest.param(
            {"a": claim(80, 80), "b": claim(20, 20, demand=0)},
            SERVED,
            {"a": 100},
            id="one that is stopped gives its share away",
        ),
        pytest.param(
            {"a": claim(80, 80, usable=0), "b": claim(20, 20, usable=0)},
            SERVED,
            {"a": 80, "b": 20},
            id="where nobody can answer, nothing moves",
        ),
    ],
)
def test_a_share_follows_the_pods(
    claims: dict[str, Claim],
    served: bool,
    expected: dict[str, float],
) -> None:
    assert percent(decide(claims, served=served)) == expected


CLAIMS = st.integers(1, 8).flatmap(
    lambda n: st.lists(
        st.builds(
            Claim,
            asked=st.integers(0, WHOLE),
            now=st.integers(0, WHOLE),
            usable=st.integers(0, 4),
            demand=st.integers(0, 4),
            answers=st.booleans(),
            leaving=st.booleans(),
        ),
        min_size=n,
        max_size=n,
    )
)


@given(CLAIMS, st.booleans())
def test_all_of_the_traffic_is_given_to_somebody_who_is_there(
    drawn: list[Claim],
    served: bool,
) -> None:
    claims = {f"v{n}": each for n, each in enumerate(drawn)}
    made = decide(claims, served=served)
    begun = sum(each.now for each in drawn) == WHOLE
    if begun or any(each.alive for each in drawn) or sum(each.asked for each in drawn) > 0:
        assert sum(made.values()) == WHOLE
    assert all(parts >= 0 for parts in made.values())
    moved = made != {name: each.now for name, each in claims.items()}
    if moved and begun:
        growing = [name for name, parts in made.items() if parts > claims[name].now]
        assert all(claims[name].alive for name in growing)
        assert all(claims[name].asked or claims[name].leaving for name in growing)


@given(
    st.integers(0, WHOLE),
    st.lists(st.integers(0, WHOLE), min_size=1, max_size=4).filter(lambda each: sum(each) > 0),
)
def test_a_shift_inside_a_variant_leaves_its_share_whole(share: int, raw: list[int]) -> None:
    total = sum(raw)
    parts = [each * WHOLE // total for each in raw]
    parts[-1] += WHOLE - sum(parts)
    within = {f"r{n}": each for n, each in enumerate(parts)}
    made = composed(share, within)
    assert sum(made.values()) == share
    if share >= len(parts):
        assert set(made) == {name for name, each in within.items() if each}
