"""The trees and tables, as people see them."""

from textwrap import dedent
from typing import Any

from modelfleet_operator import kinds
from modelfleet_operator.api.status import CheckStatus, Phase, Status
from modelfleet_operator.cli import look
from modelfleet_operator.cli.picture import read_picture
from modelfleet_operator.cli.show.deployments import deployments
from modelfleet_operator.cli.show.document import as_document
from modelfleet_operator.cli.show.history import as_documents, history, read_history
from modelfleet_operator.cli.show.tree import tree
from modelfleet_operator.cli.styled import Style
from tests.unit.operator.builders import NAME, NAMESPACE, NOW, spec_json
from tests.unit.operator.cli.cases import (
    ANALYSIS,
    NEW,
    OLD,
    aborted,
    cluster,
    event,
    moving,
    plain,
    pod,
    raw,
    resource,
    rollout,
    settled,
)


async def shown(status: Status, **more: Any) -> str:
    api = cluster(status, **more)
    return plain(tree(await look.picture(api, NAMESPACE, NAME, lambda: NOW)))


async def test_a_rollout_that_holds_with_its_analysis() -> None:
    assert await shown(moving(rollout(analysis=ANALYSIS))) == text("""
        digits in team-a: Progressing
        url      http://digits.team-a.svc.cluster.local
        rollout  revision 3 (version 2) takes over: Holding for 42s, waits to be promoted
        steps    5 % → [50 %] → 100 %

        NAME                 VERSION   ROLE        TRAFFIC   READY   AGE   STATE
        ├─ revision 3        2         candidate   50 %      1/2
        │  ├─ digits-ccc-1                                           7m    ready
        │  └─ digits-ccc-2                                           7m    ModelNotFound: no such file, restarted 3 times
        └─ revision 2        1         stable      50 %      2/2
           ├─ digits-bbb-1                                           7m    ready
           └─ digits-bbb-2                                           7m    ready, restarted once

        analysis of step 2 of 2: Wait after 120 requests, about 340 more are needed
          errors against stable: 340 more requests are needed
          CHECK                   VERDICT    REQUESTS   FAILURES   RATE   BETWEEN        STABLE          DIFFERENCE   EVIDENCE       MORE
          errors                  Harmless   120        0          0%     0% to 2.1%                                  0.00 of 3.00
          errors against stable   Open       120        3          2.5%   0.6% to 6.9%   0.847% of 118   1.65%        0.42 of 3.69   340

        conditions
          TYPE        STATUS   REASON    SINCE   MESSAGE
          Ready       False    Holding   42s     revision digits-ccc (version 2) has 50 % of the traffic
          Available   True     Serving   2d      requests are answered

        events
          AGE   TYPE     REASON    MESSAGE
          40s   Normal   Holding   half of the traffic
    """)  # noqa: E501


async def test_a_query_has_its_value_its_limit_and_its_bad_looks() -> None:
    load = CheckStatus(name="query load", verdict="Open", value="0.7", limit="at most 0.5",
                       beyond=2, missed=0, asked="0a1b2c3d")  # fmt: skip
    rows = CheckStatus(name="query rows", verdict="Open", limit="at least 1", beyond=0, missed=1)
    told = rollout(analysis=ANALYSIS.model_copy(update={"checks": (load, rows)}))
    lines = (await shown(moving(told))).splitlines()
    (at,) = (n for n, line in enumerate(lines) if line.lstrip().startswith("CHECK"))
    assert [" ".join(line.split()[2:]) for line in lines[at + 1 : at + 3]] == [
        "Open 0.7 at most 0.5 2 in a row",
        "Open - at least 1",
    ]
    document = as_document(await look.picture(cluster(moving(told)), NAMESPACE, NAME, lambda: NOW))
    assert "asked" not in document["rollout"]["analysis"]["checks"][0], "the operator's memory"


async def test_a_revision_that_is_only_kept_is_not_in_the_tree() -> None:
    lines = (await shown(settled())).splitlines()
    assert not any("revision 1" in line for line in lines)
    assert any(line.startswith("├─ revision 3        2         stable   100 %") for line in lines)


async def test_a_rollout_that_failed_says_why_and_since_when() -> None:
    lines = (await shown(moving(aborted(), weight=0))).splitlines()
    assert lines[2:4] == [
        "rollout  revision 3 (version 2) gave all traffic back: Failed for 3m, aborted",
        "steps    5 % → 50 % → 100 %",
    ]
    assert any("failed   0 %" in line for line in lines)


async def test_a_second_attempt_is_called_one() -> None:
    told = rollout(Phase.SHIFTING, "5 % of the traffic is on its way to it", step=0, attempt=2)
    assert "takes over, attempt 2: Shifting, 5 % of the" in await shown(moving(told, weight=5))


async def test_a_status_older_than_the_spec_says_so() -> None:
    told = await shown(settled(), generation=5)
    assert "the operator has seen generation 4; the spec is at generation 5" in told


async def test_pods_of_unknown_revisions_are_shown_all_the_same() -> None:
    api = cluster(settled())
    api.put(kinds.POD, pod("stray-1", "stray"))
    told = plain(tree(await look.picture(api, NAMESPACE, NAME, lambda: NOW)))
    assert "└─ pods of no revision that is known" in told
    assert "   └─ stray-1" in told


def test_nothing_is_known_of_a_new_one() -> None:
    told = plain(tree(read_picture(NOW, raw(None))))
    assert told == text("""
        digits in team-a: Unknown
        the operator has seen nothing yet; the spec is at generation 4

        no revision yet
    """)


def test_only_the_last_events_are_shown_the_oldest_first() -> None:
    events = [event(f"R{n}", "m", warning=n == 6, minutes=20 - n) for n in range(8)]
    told = plain(tree(read_picture(NOW, raw(settled()), (), events))).splitlines()
    assert [line.split()[2] for line in told[-5:]] == ["R3", "R4", "R5", "R6", "R7"]
    assert told[-2].split()[1] == "Warning"


# -- get


def test_the_table_of_all() -> None:
    found = [
        raw(settled(), name="sentiment", namespace="team-b"),
        raw(None, name="new", namespace="team-b"),
        raw(moving(rollout())),
    ]
    assert plain(deployments(found, NOW)) == text("""
        NAME        VERSION   READY   CANDIDATE   WEIGHT   PHASE         AGE
        digits      1         2/2     2           50 %     Progressing   2d5h
        new         -         0/0     -           -        Unknown       2d5h
        sentiment   2         2/2     -           -        Ready         2d5h
    """)
    wide = plain(deployments(found, NOW, wide=True, namespaces=True)).splitlines()
    more = ["VARIANTS", "STABLE", "STEP", "ROLLOUT", "URL", "MESSAGE"]
    assert wide[0].split()[-len(more) :] == more
    assert "-          revision 2 (version 1)   2/2    Holding   http://digits" in wide[1]


def test_a_first_revision_is_a_candidate_without_a_weight() -> None:
    assert plain(deployments([raw(settled(None))], NOW)).splitlines()[1].split() == (
        ["digits", "-", "0/2", "2", "-", "Pending", "2d5h"]
    )


# -- history


async def test_the_revisions_by_number() -> None:
    api = cluster(moving(aborted(), weight=0))
    past = read_history(
        resource(moving(aborted(), weight=0)), await look.revisions(api, NAMESPACE, NAME)
    )
    assert plain(history(past, NOW)) == text("""
        REVISION   VERSION   STATE    AGE   NAME         URI                 DIGEST
        1          0         kept     3d    digits-aaa   file:///models/v0   -
        2          1         stable   2d    digits-bbb   file:///models/v1   -
        3          2         failed   24h   digits-ccc   file:///models/v2   -
    """)
    assert [each.state.style for each in past] == [Style.FAINT, Style.GOOD, Style.BAD]
    assert as_documents(past)[1] == {
        "variant": "default",
        "revision": 2,
        "name": OLD,
        "version": "1",
        "uri": "file:///models/v1",
        "digest": None,
        "created": "2026-02-27T12:00:00+00:00",
        "state": "stable",
    }


# -- for programs


async def test_the_document_of_a_rollout() -> None:
    api = cluster(moving(rollout(analysis=ANALYSIS)))
    document = as_document(await look.picture(api, NAMESPACE, NAME, lambda: NOW))
    assert document["rollout"]["phase"] == "Holding"
    assert document["rollout"]["steps"] == [5, 50]
    assert document["rollout"]["weight"] == 50
    assert document["rollout"]["analysis"]["checks"][1]["failures"] == 3
    assert "evidence" not in document["rollout"]["analysis"], "the operator's memory"
    assert document["outcome"] is None
    by_name = {each["name"]: each for each in document["revisions"]}
    assert by_name[NEW]["state"] == "candidate"
    assert by_name[NEW]["percent"] == 50.0
    assert [each["ready"] for each in by_name[NEW]["pods"]] == [True, False]
    assert document["events"][0]["reason"] == "Holding"


async def test_the_document_has_the_same_keys_when_nothing_is_known() -> None:
    full = as_document(await look.picture(cluster(), NAMESPACE, NAME, lambda: NOW))
    assert as_document(read_picture(NOW, raw(None))).keys() == full.keys()


def text(block: str) -> str:
    return dedent(block).strip("\n").rstrip(" ").rstrip("\n")


def test_a_preview_is_the_first_step_of_blue_and_green() -> None:
    green = spec_json("v2", routing={"mode": "Router"}, rollout={"strategy": "BlueGreen"})
    told = moving(rollout(step=0, observed="no request yet"), weight=0)
    lines = plain(tree(read_picture(NOW, raw(told, spec=green)))).splitlines()
    assert lines[3:5] == ["steps    [preview] → 100 %", "traffic  no request yet"]
