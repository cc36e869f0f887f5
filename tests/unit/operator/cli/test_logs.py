"""The words of a revision's pods, each line after the name of its pod."""

import asyncio
import re
from typing import Any

import pytest

from modelfleet_operator import kinds
from modelfleet_operator.cli import logs
from modelfleet_operator.cli.exits import ExitCode, Missing, Refusal
from tests.unit.operator.builders import NAME, NAMESPACE, NOW
from tests.unit.operator.cli.cases import (
    NEW,
    OLD,
    aborted,
    cluster,
    moving,
    noted,
    pod,
    rollout,
    said,
    settled,
    terminal,
)
from tests.unit.operator.memory_api import MemoryApi
from tests.unit.operator.virtual_time import live


def speaking(status: Any = None) -> MemoryApi:
    api = cluster(status if status is not None else moving(rollout()))
    for name in (f"{OLD}-1", f"{OLD}-2", f"{NEW}-1"):
        api.spoken[name] = [f"line {n}" for n in range(3)]
    return api


async def printed(api: MemoryApi, **options: Any) -> tuple[ExitCode, list[str], str]:
    spoken = terminal()
    asked = logs.Options(NAMESPACE, NAME, **options)
    code = await logs.run(asked, spoken, api, lambda: NOW)
    return code, said(spoken).splitlines(), noted(spoken)


async def test_every_pod_is_read_and_one_that_has_not_started_is_named() -> None:
    code, lines, err = await printed(speaking(), tail=1)
    assert code == ExitCode.OK
    assert lines == [f"[{OLD}-1] line 2", f"[{OLD}-2] line 2", f"[{NEW}-1] line 2"]
    assert err.startswith(f"{NEW}-2: container")


@pytest.mark.parametrize(
    ("revision", "of"),
    [("2", OLD), (OLD, OLD), ("stable", OLD), ("candidate", NEW), ("3", NEW)],
)
async def test_a_revision_is_named_by_its_number_its_name_or_its_part(
    revision: str, of: str
) -> None:
    _, lines, _ = await printed(speaking(), revision=revision)
    assert {line[1:].partition("]")[0].rpartition("-")[0] for line in lines} == {of}


async def test_the_one_that_failed_is_still_the_candidate() -> None:
    _, lines, _ = await printed(speaking(moving(aborted(), weight=0)), revision="candidate")
    assert all(NEW in line for line in lines)


@pytest.mark.parametrize(
    ("revision", "says"),
    [
        ("9", "there is no revision 9 of digits: write its number (1, 2, 3)"),
        ("candidate", "digits has no candidate revision at this moment"),
        ("1", "revision 1 of digits has no pod at this moment"),
    ],
)
async def test_what_is_not_there_is_said(revision: str, says: str) -> None:
    with pytest.raises(Missing, match=re.escape(says)):
        await printed(speaking(settled()), revision=revision)


async def test_nothing_but_silence_is_a_failure() -> None:
    api = cluster()
    assert (await printed(api))[0] == ExitCode.FAILED


async def test_what_ended_before_is_not_followed() -> None:
    with pytest.raises(Refusal, match="leave -f or --previous out"):
        await printed(speaking(), follow=True, previous=True)


def test_pods_that_come_later_are_followed_too() -> None:
    api, spoken = speaking(), terminal()
    late = f"{NEW}-3"

    async def story() -> None:
        asked = logs.Options(NAMESPACE, NAME, revision="candidate", follow=True)
        following = asyncio.create_task(logs.run(asked, spoken, api, lambda: NOW))
        await asyncio.sleep(10)
        api.put(kinds.POD, pod(late, NEW))
        api.spoken[late] = ["here I am"]
        api.spoken[f"{NEW}-2"] = ["started after all"]
        await asyncio.sleep(20)
        api.remove(kinds.MODEL_DEPLOYMENT, NAMESPACE, NAME)
        with pytest.raises(Missing):
            await following

    live(story())
    lines = said(spoken).splitlines()
    assert lines == [
        *(f"[{NEW}-1] line {n}" for n in range(3)),
        f"[{NEW}-2] started after all",
        f"[{late}] here I am",
    ]
