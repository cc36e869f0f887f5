"""A rollout is shown until it ends, on a screen, in a log, or for programs."""

import asyncio
import json
import re
from collections.abc import AsyncIterator, Callable
from datetime import timedelta
from typing import Any

import pytest
import yaml

from modelfleet_operator import kinds
from modelfleet_operator.api.status import Phase, RevisionStatus, Status
from modelfleet_operator.cli import say, status, undo, verbs
from modelfleet_operator.cli.exits import ExitCode, Missing, Refusal
from modelfleet_operator.cli.follow import READ_S
from modelfleet_operator.cli.terminal import Terminal
from modelfleet_operator.cluster.errors import Refused, Unavailable
from modelfleet_operator.kinds import Json
from tests.unit.operator.builders import NAME, NAMESPACE, NOW
from tests.unit.operator.cli.cases import (
    ARMS,
    CONTROL_NEW,
    NEW,
    aborted,
    arms,
    cluster,
    cluster_of_arms,
    moving,
    raw,
    rollout,
    said,
    settled,
    terminal,
)
from tests.unit.operator.memory_api import MemoryApi
from tests.unit.operator.virtual_time import live

OPTIONS = status.Options(NAMESPACE, NAME, watch=True)
HALF = moving(rollout())
FEW = moving(rollout(Phase.SHIFTING, "5 % of the traffic is on its way to it", step=0), weight=5)


async def clocked(
    api: MemoryApi, spoken: Terminal, *story: Callable[[], Any], run: Any = None, **more: Any
) -> ExitCode:
    """Follows it while one chapter of the story happens every ten seconds."""
    loop = asyncio.get_running_loop()

    async def tell() -> None:
        for chapter in story:
            await asyncio.sleep(10)
            chapter()

    telling = asyncio.create_task(tell())
    options = status.Options(NAMESPACE, NAME, watch=True, **more)
    clock = lambda: NOW + timedelta(seconds=round(loop.time()))  # noqa: E731
    try:
        if run is not None:
            code: ExitCode = await run(spoken, api, clock)
            return code
        return await status.run(options, spoken, api, clock)
    finally:
        telling.cancel()


def becomes(api: MemoryApi, told: Status, **more: Any) -> Callable[[], Json]:
    return lambda: api.put(kinds.MODEL_DEPLOYMENT, raw(told, **more))


def test_into_a_pipe_it_writes_a_line_for_each_change() -> None:
    api, spoken = cluster(FEW), terminal()
    code = live(
        clocked(api, spoken, becomes(api, HALF), becomes(api, HALF), becomes(api, settled()))
    )
    assert code == ExitCode.OK
    assert said(spoken) == (
        "12:00:00  digits: step 1 of 2, 5 %, Shifting: 5 % of the traffic is on its way to it\n"
        "12:00:10  digits: step 2 of 2, 50 %, Holding: waits to be promoted\n"
        "12:00:30  digits: Ready: revision digits-ccc serves\n"
        "revision digits-ccc serves\n"
    )


def test_one_that_is_rolled_back_ends_with_1() -> None:
    api, spoken = cluster(HALF), terminal()
    code = live(clocked(api, spoken, becomes(api, moving(aborted(), weight=0))))
    assert code == ExitCode.FAILED
    assert said(spoken).endswith("revision 3 (version 2) was rolled back: aborted\n")


def test_what_has_ended_already_is_shown_once() -> None:
    spoken = terminal()
    assert live(clocked(cluster(), spoken)) == ExitCode.OK
    assert said(spoken).count("\n") == 2


def test_a_document_a_line_for_programs() -> None:
    api, spoken = cluster(FEW), terminal()
    live(clocked(api, spoken, becomes(api, HALF), becomes(api, settled()), output="json"))
    documents = [json.loads(text) for text in said(spoken).splitlines()]
    shares = [d["rollout"]["weight"] if d["rollout"] else None for d in documents]
    assert shares == [5, 50, None]
    assert documents[-1]["outcome"] == {"well": True, "message": "revision digits-ccc serves"}


def test_a_pod_that_changes_is_seen_without_the_resource() -> None:
    api, spoken = cluster(HALF), terminal()
    pod = f"{NEW}-2"
    gone = lambda: api.change(  # noqa: E731
        kinds.POD, NAMESPACE, pod, metadata={"deletionTimestamp": "now"}
    )
    live(clocked(api, spoken, gone, becomes(api, settled()), output="json"))
    documents = [json.loads(text) for text in said(spoken).splitlines()]
    states = [
        next(p["state"] for r in d["revisions"] for p in r["pods"] if p["name"] == pod)
        for d in documents
    ]
    assert states[1] == "leaving"


def test_a_timeout_says_where_it_stands() -> None:
    with pytest.raises(Refusal, match=r"not ended within 1m: step 2 of 2, 50 %, Holding: waits"):
        live(clocked(cluster(HALF), terminal(), timeout=timedelta(minutes=1)))


def test_a_resource_that_goes_meanwhile_is_missing() -> None:
    api = cluster(HALF)
    with pytest.raises(Missing, match="there is no ModelDeployment digits"):
        live(clocked(api, terminal(), lambda: api.remove(kinds.MODEL_DEPLOYMENT, NAMESPACE, NAME)))


def test_a_cluster_that_is_away_for_a_while_is_waited_for() -> None:
    api, spoken = cluster(HALF), terminal()
    get = api.get

    async def away(*_: Any, **__: Any) -> Json:
        raise Unavailable("connection refused")

    def leaves() -> None:
        api.get = away  # type: ignore[method-assign]

    def returns() -> None:
        api.get = get  # type: ignore[method-assign]
        becomes(api, settled())()

    assert live(clocked(api, spoken, leaves, returns)) == ExitCode.OK
    assert "the cluster does not answer: connection refused" in said(spoken)


def test_where_watching_is_forbidden_time_wakes() -> None:
    api, spoken = cluster(HALF), terminal()

    async def forbidden(*_: Any, **__: Any) -> AsyncIterator[Json]:
        raise Refused("cannot watch")
        yield {}

    api.watch = forbidden  # type: ignore[method-assign]
    assert live(clocked(api, spoken, becomes(api, settled()))) == ExitCode.OK
    lines = said(spoken).splitlines()
    assert "12:00:10" < lines[1][:8] <= f"12:00:{10 + READ_S + 1:.0f}"


# -- a screen


class Screen:
    """What a terminal of these columns and rows shows after what was written to it."""

    def __init__(self, written: str) -> None:
        self.rows: list[str] = [""]
        self.at = 0
        self.frames = 0
        self._column = 0
        for part in re.split(r"(\x1b\[\d*[A-Za-z]|\n|\r)", written):
            self._take(part)

    def _take(self, part: str) -> None:
        if part == "\n":
            self.at += 1
            self.rows += [""] * (self.at + 1 - len(self.rows))
        elif part == "\r":
            self.frames += 1
        elif part.startswith("\x1b[") and part.endswith("A"):
            self.at -= int(part[2:-1])
            assert self.at >= 0, "above the screen"
        elif part == "\x1b[K":
            self.rows[self.at] = self.rows[self.at][: self._column]
        elif part == "\x1b[J":
            del self.rows[self.at + 1 :]
            self.rows[self.at] = ""
        elif part and not part.startswith("\x1b"):
            self._column = len(part)
            self.rows[self.at] = part + self.rows[self.at][len(part) :]
        if part in ("\n", "\r"):
            self._column = 0

    @property
    def text(self) -> str:
        return "\n".join(self.rows)


def test_on_a_screen_the_tree_is_drawn_over_itself() -> None:
    api, spoken = cluster(FEW), terminal(live=True, size=(120, 50))
    code = live(clocked(api, spoken, becomes(api, HALF), becomes(api, settled())))
    screen = Screen(said(spoken))
    assert code == ExitCode.OK
    assert screen.frames > 10, "ages move on"
    assert screen.text.count("digits in team-a: ") == 1, "one frame is left"
    assert "digits in team-a: Ready" in screen.text
    assert "Shifting" not in screen.text
    assert screen.rows[-2] == "revision digits-ccc serves"


def test_a_screen_that_is_too_small_gets_what_fits() -> None:
    spoken = terminal(live=True, size=(30, 8))
    live(clocked(cluster(), spoken))
    rows = Screen(said(spoken)).rows
    assert all(len(row) <= 30 for row in rows)
    frame = rows[: rows.index(next(row for row in rows if "lines more" in row)) + 1]
    assert len(frame) == 7, "one line is left for the cursor"
    assert frame[1].endswith("…")


def test_ages_move_on_a_screen_without_a_change() -> None:
    api, spoken = cluster(HALF), terminal(live=True, size=(120, 50))
    live(clocked(api, spoken, becomes(api, settled())))
    ages = re.findall(r"Holding for (\d+)s", said(spoken))
    assert len(set(ages)) >= 5


# -- verbs that wait


def test_a_restart_waits_for_the_new_revision_and_not_for_what_serves() -> None:
    api, spoken = cluster(), terminal()
    restarted = settled().variants[0]
    other = RevisionStatus(name="digits-ddd", number=4, ready_replicas=2, replicas=2)
    after = settled().model_copy(
        update={
            "variants": (
                restarted.model_copy(
                    update={"stable": other.name, "revisions": (*restarted.revisions, other)}
                ),
            )
        }
    )
    asked = say.Options(
        NAMESPACE, NAME, lambda found: verbs.restart(found, NOW), begins=True, wait=True
    )
    run = lambda *rest: say.run(asked, *rest)  # noqa: E731
    seconds: list[str] = []
    code = live(clocked(api, spoken, becomes(api, settled()), becomes(api, after), run=run))
    seconds = re.findall(r"^12:00:(\d+)", said(spoken), re.MULTILINE)
    assert code == ExitCode.OK
    assert said(spoken).startswith("digits starts anew, as a new revision\n")
    assert seconds == ["00"], "nothing else was worth a line"


def test_a_retry_that_waits_is_not_ended_by_the_old_failure() -> None:
    api, spoken = cluster(moving(aborted(), weight=0)), terminal()
    asked = say.Options(NAMESPACE, NAME, verbs.retry, wait=True)
    story = (becomes(api, moving(rollout(attempt=2))), becomes(api, settled()))
    code = live(clocked(api, spoken, *story, run=lambda *rest: say.run(asked, *rest)))
    assert code == ExitCode.OK


def test_an_undo_that_waits_is_not_ended_by_what_served_before() -> None:
    api, spoken = cluster(), terminal()
    asked = undo.Options(NAMESPACE, NAME, wait=True)
    seen_again = settled().model_copy(update={"observed_generation": 5})
    story = (becomes(api, seen_again, generation=5),)
    code = live(clocked(api, spoken, *story, run=lambda *rest: undo.run(asked, *rest)))
    assert code == ExitCode.OK
    assert "12:00:00  digits: the operator has not looked at this spec yet" in said(spoken)


def with_arms(api: MemoryApi, told: Status) -> Callable[[], Json]:
    return becomes(api, told, spec=ARMS)


STARTS = rollout(Phase.STARTING, "1 of 2 pods are ready", step=0, candidate=CONTROL_NEW)


def test_a_watch_ends_when_every_variant_has_ended() -> None:
    api, spoken = cluster_of_arms(arms(STARTS, rollout())), terminal()
    story = (
        with_arms(api, arms(STARTS)),
        with_arms(api, arms(aborted(CONTROL_NEW), rollout())),
        with_arms(api, arms(aborted(CONTROL_NEW))),
    )
    code = live(clocked(api, spoken, *story))
    assert code == ExitCode.FAILED
    assert said(spoken) == (
        "12:00:00  digits: variant control: step 1 of 2, 50 %, Starting: 1 of 2 pods are ready; "
        "variant challenger: step 2 of 2, 50 %, Holding: waits to be promoted\n"
        "12:00:10  digits: variant control: step 1 of 2, 50 %, Starting: 1 of 2 pods are ready\n"
        "12:00:20  digits: variant control: step 2 of 2, 0 %, Failed: aborted; "
        "variant challenger: step 2 of 2, 50 %, Holding: waits to be promoted\n"
        "12:00:30  digits: variant control: step 2 of 2, 0 %, Failed: aborted\n"
        "variant control: revision 3 (version 4) was rolled back: aborted\n"
    )


def test_a_verb_waits_for_the_variant_that_it_was_meant_for() -> None:
    api, spoken = cluster_of_arms(arms(aborted(CONTROL_NEW), rollout())), terminal()
    asked = say.Options(NAMESPACE, NAME, verbs.promote, wait=True)
    story = (with_arms(api, arms(aborted(CONTROL_NEW))),)
    code = live(clocked(api, spoken, *story, run=lambda *rest: say.run(asked, *rest)))
    assert code == ExitCode.OK, "the other's failure is no news"
    assert said(spoken).endswith("variant challenger: revision 3 (version 2) serves\n")


def test_an_undo_waits_for_the_variant_that_it_was_of() -> None:
    api, spoken = cluster_of_arms(arms(aborted(CONTROL_NEW))), terminal()
    asked = undo.Options(NAMESPACE, NAME, only="challenger", wait=True)
    seen = arms(aborted(CONTROL_NEW)).model_copy(update={"observed_generation": 5})
    story = (becomes(api, seen, generation=5, spec=ARMS),)
    code = live(clocked(api, spoken, *story, run=lambda *rest: undo.run(asked, *rest)))
    assert code == ExitCode.OK


def test_yaml_documents_are_parted() -> None:
    api, spoken = cluster(FEW), terminal()
    live(clocked(api, spoken, becomes(api, settled()), output="yaml"))
    documents = list(yaml.safe_load_all(said(spoken)))
    assert [document["phase"] for document in documents] == ["Progressing", "Ready"]
