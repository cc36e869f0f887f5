"""The life of one ModelDeployment: woken, looking, resting, ending. Time is the test's own."""

import asyncio
from collections.abc import Callable, Coroutine
from dataclasses import dataclass, field
from datetime import timedelta
from typing import Any, cast

import pytest

from modelfleet_operator.cluster.errors import ApiError, Conflict, Refused, Unavailable
from modelfleet_operator.loop import Gone, Keeper, Key, Look
from tests.unit.operator.virtual_time import clock, live, settle

ONE, TWO = Key("team-a", "digits"), Key("team-a", "letters")
Answer = float | None | BaseException


@dataclass
class Looks:
    """In the place of `Look`: remembers when, and answers as it was told; the last answer stays."""

    answers: list[Answer] = field(default_factory=lambda: [None])
    takes: float = 0.0
    during: Callable[[Key], None] = lambda key: None
    begun: list[tuple[float, Key]] = field(default_factory=list)
    under_way: list[Key] = field(default_factory=list)
    most: int = 0

    async def __call__(self, key: Key) -> float | None:
        assert key not in self.under_way, "one look at a time for each resource"
        self.begun.append((clock(), key))
        self.under_way.append(key)
        self.most = max(self.most, len(self.under_way))
        try:
            self.during(key)
            await asyncio.sleep(self.takes)
        finally:
            self.under_way.remove(key)
        answer = self.answers.pop(0) if len(self.answers) > 1 else self.answers[0]
        if isinstance(answer, BaseException):
            raise answer
        return answer

    def times(self, key: Key = ONE) -> list[float]:
        return [when for when, whose in self.begun if whose == key]


def keeping(looks: Looks, *, concurrency: int = 16, resync: float = 600) -> Keeper:
    return Keeper(cast(Look, looks), concurrency=concurrency, resync=timedelta(seconds=resync))


def told(story: Callable[[], Coroutine[Any, Any, None]]) -> Callable[[], None]:
    """A test that lives in a time of its own."""

    def test() -> None:
        live(story())

    test.__name__ = story.__name__
    return test


@told
async def test_a_wake_leads_to_a_look_at_once() -> None:
    looks = Looks()
    keeper = keeping(looks)
    keeper.wake(ONE)
    await settle()
    assert looks.times() == [0]
    await keeper.close()


@told
async def test_many_wakes_before_a_look_lead_to_one() -> None:
    looks = Looks()
    keeper = keeping(looks)
    for _ in range(5):
        keeper.wake(ONE)
    await settle()
    assert looks.times() == [0]
    assert keeper.count == 1
    await keeper.close()


@told
async def test_a_wake_during_a_look_leads_to_another() -> None:
    looks = Looks(takes=2)
    keeper = keeping(looks)
    keeper.wake(ONE)
    await asyncio.sleep(1)
    keeper.wake(ONE)
    await asyncio.sleep(10)
    assert looks.times() == [0, 2]
    await keeper.close()


@told
async def test_with_no_reason_to_it_looks_again_now_and_then() -> None:
    looks = Looks()
    keeper = keeping(looks, resync=100)
    keeper.wake(ONE)
    await asyncio.sleep(350)
    assert len(looks.times()) == 4
    for before, after in zip(looks.times(), looks.times()[1:], strict=False):
        assert 100 <= after - before <= 110, "spread, so that not all look at once"
    await keeper.close()


@told
async def test_a_look_says_when_the_next_is_due() -> None:
    looks = Looks([30.0, 5000.0, None])
    keeper = keeping(looks, resync=600)
    keeper.wake(ONE)
    await asyncio.sleep(800)
    first, second, third = looks.times()
    assert 30 <= second - first <= 33
    assert 600 <= third - second <= 660, "but never later than now and then"
    await keeper.close()


@told
async def test_a_wake_ends_the_rest() -> None:
    looks = Looks([30.0])
    keeper = keeping(looks)
    keeper.wake(ONE)
    await asyncio.sleep(7)
    keeper.wake(ONE)
    await settle()
    assert looks.times() == [0, 7]
    await keeper.close()


@told
async def test_what_is_gone_has_no_task_any_more_and_gets_one_when_it_is_back() -> None:
    looks = Looks([Gone(), None])
    keeper = keeping(looks)
    keeper.wake(ONE)
    await settle()
    assert keeper.count == 0
    keeper.wake(ONE)
    await settle()
    assert len(looks.times()) == 2
    assert keeper.count == 1
    await keeper.close()


@told
async def test_what_comes_back_in_the_very_look_that_finds_it_gone_is_not_forgotten() -> None:
    looks = Looks([Gone(), None], takes=1)
    keeper = keeping(looks)
    keeper.wake(ONE)
    await asyncio.sleep(0.5)
    keeper.wake(ONE)
    await asyncio.sleep(5)
    assert looks.times() == [0, 1]
    assert keeper.count == 1
    await keeper.close()


@told
async def test_an_old_picture_is_looked_at_again_soon() -> None:
    looks = Looks([Conflict("old"), Conflict("old"), None])
    keeper = keeping(looks)
    keeper.wake(ONE)
    await asyncio.sleep(5)
    first, second, third = looks.times()
    assert 0.2 <= second - first < 0.3
    assert 0.4 <= third - second < 0.5
    await keeper.close()


@told
async def test_a_failure_waits_twice_as_long_each_time_up_to_a_minute() -> None:
    looks = Looks([Refused("no")])
    keeper = keeping(looks)
    keeper.wake(ONE)
    await asyncio.sleep(400)
    gaps = [b - a for a, b in zip(looks.times(), looks.times()[1:], strict=False)]
    for gap, at_least in zip(gaps, [1, 2, 4, 8, 16, 32, 60, 60], strict=False):
        assert at_least <= gap <= at_least * 1.1
    assert len(gaps) >= 8
    await keeper.close()


@told
async def test_after_a_success_the_waiting_begins_anew() -> None:
    looks = Looks([Refused("no"), Refused("no"), 1.0, Refused("no"), None])
    keeper = keeping(looks)
    keeper.wake(ONE)
    await asyncio.sleep(30)
    gaps = [b - a for a, b in zip(looks.times(), looks.times()[1:], strict=False)]
    assert [round(gap) for gap in gaps] == [1, 2, 1, 1]
    await keeper.close()


@told
async def test_the_api_servers_wish_to_be_left_alone_is_granted() -> None:
    looks = Looks([Unavailable("busy", 20.0), None])
    keeper = keeping(looks)
    keeper.wake(ONE)
    await asyncio.sleep(30)
    assert 20 <= looks.times()[1] <= 22
    await keeper.close()


@pytest.mark.parametrize(
    "fault",
    [
        pytest.param(KeyError("a bug"), id="a bug"),
        pytest.param(ApiError("something new"), id="an answer that nobody knows"),
        pytest.param(TimeoutError(), id="a timeout that nobody caught"),
    ],
)
def test_a_fault_in_a_look_does_not_end_the_task(fault: Exception) -> None:
    async def story() -> None:
        looks = Looks([fault, None])
        keeper = keeping(looks)
        keeper.wake(ONE)
        await asyncio.sleep(5)
        assert len(looks.times()) == 2
        assert keeper.count == 1
        await keeper.close()

    live(story())


def test_what_goes_on_failing_is_told_once(caplog: pytest.LogCaptureFixture) -> None:
    async def story() -> None:
        keeper = keeping(Looks([Refused("no"), Refused("no"), Refused("no"), None]))
        keeper.wake(ONE)
        await asyncio.sleep(60)
        await keeper.close()

    live(story())
    assert [record.levelname for record in caplog.records] == ["WARNING"]


@told
async def test_one_that_hangs_keeps_no_other_from_being_looked_at() -> None:
    looks = Looks(takes=50)
    keeper = keeping(looks)
    keeper.wake(ONE)
    await asyncio.sleep(1)
    keeper.wake(TWO)
    await settle()
    assert (looks.times(), looks.times(TWO)) == ([0], [1])
    await keeper.close()


@told
async def test_no_more_looks_at_once_than_are_allowed() -> None:
    looks = Looks(takes=1)
    keeper = keeping(looks, concurrency=3)
    for number in range(10):
        keeper.wake(Key("n", str(number)))
    await asyncio.sleep(30)
    assert looks.most == 3
    assert len(looks.begun) == 10
    await keeper.close()


@told
async def test_a_wake_while_waiting_for_a_turn_is_part_of_that_turn() -> None:
    looks = Looks(takes=10)
    keeper = keeping(looks, concurrency=1)
    keeper.wake(ONE)
    await settle()
    keeper.wake(TWO)
    await asyncio.sleep(5)
    keeper.wake(TWO)
    await asyncio.sleep(100)
    assert looks.times(TWO) == [10]
    await keeper.close()


@told
async def test_closing_ends_every_task_wherever_it_is() -> None:
    looks = Looks(takes=50)
    keeper = keeping(looks, concurrency=1)
    keeper.wake(ONE)
    keeper.wake(TWO)
    await asyncio.sleep(1)
    await keeper.close()
    assert keeper.count == 0
    assert clock() == 1
    assert looks.under_way == []
