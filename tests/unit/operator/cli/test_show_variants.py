"""Several variants, as people and programs see them."""

from textwrap import dedent
from typing import Any

import pytest

from modelfleet_operator import kinds
from modelfleet_operator.api.status import Phase, Status
from modelfleet_operator.cli import logs, look
from modelfleet_operator.cli.exits import Missing
from modelfleet_operator.cli.outcome import Outcome, outcome, summary
from modelfleet_operator.cli.picture import Picture, read_picture
from modelfleet_operator.cli.show.deployments import deployments
from modelfleet_operator.cli.show.document import as_document
from modelfleet_operator.cli.show.history import as_documents, history, read_history
from modelfleet_operator.cli.show.tree import tree
from tests.unit.operator.builders import NAME, NAMESPACE, NOW, spec_json
from tests.unit.operator.cli.cases import (
    ANALYSIS,
    ARMS,
    CONTROL_NEW,
    NEW,
    OLD,
    ROUTED,
    aborted,
    arms,
    cluster_of_arms,
    plain,
    pod,
    raw,
    resource,
    rollout,
)
from tests.unit.operator.memory_api import MemoryApi

HOLDS = rollout(analysis=ANALYSIS)
STARTS = rollout(Phase.STARTING, "1 of 2 pods are ready", step=0, candidate=CONTROL_NEW)


async def pictured(api: MemoryApi) -> Picture:
    return await look.picture(api, NAMESPACE, NAME, lambda: NOW)


def text(block: str) -> str:
    return dedent(block).strip("\n").rstrip(" ").rstrip("\n")


async def test_the_variants_are_the_roots_of_the_tree() -> None:
    api = cluster_of_arms(arms(challenger=HOLDS))
    assert plain(tree(await pictured(api))) == text("""
        digits in team-a: Progressing
        url      http://digits.team-a.svc.cluster.local

        NAME                 VERSION   ROLE        TRAFFIC   READY   AGE   STATE
        variant control                            80 %      2/2
        └─ revision 3        4         stable      80 %      2/2
           ├─ digits-ggg-1                                           7m    ready
           └─ digits-ggg-2                                           7m    ready

        variant challenger                         20 %      4/4
        │  rollout  revision 3 (version 2) takes over: Holding for 42s, waits to be promoted
        │  steps    5 % → [50 %] → 100 %
        ├─ revision 3        2         candidate   10 %      2/2
        │  ├─ digits-ccc-1                                           7m    ready
        │  └─ digits-ccc-2                                           7m    ready
        └─ revision 2        1         stable      10 %      2/2
           ├─ digits-bbb-1                                           7m    ready
           └─ digits-bbb-2                                           7m    ready

           analysis of step 2 of 2: Wait after 120 requests, about 340 more are needed
             errors against stable: 340 more requests are needed
             CHECK                   VERDICT    REQUESTS   FAILURES   RATE   BETWEEN        STABLE          DIFFERENCE   EVIDENCE       MORE
             errors                  Harmless   120        0          0%     0% to 2.1%                                  0.00 of 3.00
             errors against stable   Open       120        3          2.5%   0.6% to 6.9%   0.847% of 118   1.65%        0.42 of 3.69   340

        conditions
          TYPE    STATUS   REASON    SINCE   MESSAGE
          Ready   False    Holding   42s     variant challenger: it goes on
    """)  # noqa: E501


async def test_one_that_leaves_and_one_that_comes_say_so() -> None:
    only = spec_json("v4", **ROUTED, variants=[{"name": "control", "weight": 100}])
    told = plain(tree(await pictured(cluster_of_arms(spec=only)))).splitlines()
    roots = [" ".join(line.split()) for line in told if line.startswith("variant")]
    assert roots == [
        "variant control 80 % 2/2 is to have 100 %",
        "variant challenger 20 % 2/2 leaves: the spec has it no more",
    ]


async def test_pods_of_unknown_revisions_come_last() -> None:
    api = cluster_of_arms()
    api.put(kinds.POD, pod("stray-1", "stray"))
    told = plain(tree(await pictured(api))).splitlines()
    at = told.index("pods of no revision that is known")
    assert told[at + 1].startswith("└─ stray-1")
    assert at > next(n for n, line in enumerate(told) if "variant challenger" in line)


def test_a_table_with_several() -> None:
    both = raw(arms(STARTS, HOLDS), spec=ARMS)
    assert plain(deployments([both], NOW)) == text("""
        NAME     VERSION   READY   CANDIDATE                 WEIGHT                          PHASE         AGE
        digits   3, 1      4/4     control 4, challenger 2   control 50 %, challenger 50 %   Progressing   2d5h
    """)  # noqa: E501
    wide = plain(deployments([raw(arms(challenger=HOLDS), spec=ARMS)], NOW, wide=True))
    assert "control 80 %, challenger 20 %" in wide
    assert "control revision 3 (version 4), challenger revision 2 (version 1)" in wide


# -- history and logs


async def test_the_history_of_each() -> None:
    status = arms(challenger=aborted())
    found = await look.revisions(cluster_of_arms(status), NAMESPACE, NAME)
    of = resource(status, spec=ARMS)
    past = read_history(of, found)
    assert plain(history(past, NOW, variants=True)) == text("""
        VARIANT      REVISION   VERSION   STATE    AGE   NAME         URI                 DIGEST
        control      2          3         kept     2d    digits-fff   file:///models/v3   -
        control      3          4         stable   24h   digits-ggg   file:///models/v4   -
        challenger   2          1         stable   2d    digits-bbb   file:///models/v1   -
        challenger   3          2         failed   24h   digits-ccc   file:///models/v2   -
    """)
    assert [(each["variant"], each["revision"]) for each in as_documents(past)] == [
        ("control", 2), ("control", 3), ("challenger", 2), ("challenger", 3)
    ]  # fmt: skip
    assert {each.variant for each in read_history(of, found, "control")} == {"control"}
    with pytest.raises(Missing, match="no variant b: it has control and challenger"):
        read_history(of, found, "b")


@pytest.mark.parametrize(
    ("revision", "only", "of"),
    [
        (None, None, {CONTROL_NEW, OLD, NEW}),
        (None, "control", {CONTROL_NEW}),
        (None, "challenger", {OLD, NEW}),
        ("stable", None, {CONTROL_NEW, OLD}),
        ("candidate", None, {NEW}),
        ("3", None, {CONTROL_NEW, NEW}),
        ("3", "challenger", {NEW}),
        (OLD, None, {OLD}),
    ],
)
async def test_whose_pods_are_read(revision: str | None, only: str | None, of: set[str]) -> None:
    seen = await pictured(cluster_of_arms(arms(challenger=HOLDS)))
    assert {each.pod.revision for each in logs.chosen(seen, revision, only)} == of


async def test_a_revision_that_a_variant_has_not() -> None:
    seen = await pictured(cluster_of_arms())
    with pytest.raises(Missing, match=r"variant control of digits has no candidate revision"):
        logs.chosen(seen, "candidate", "control")
    with pytest.raises(Missing, match=r"there is no revision 9 of digits: .*\(2, 3\)"):
        logs.chosen(seen, "9")
    with pytest.raises(Missing, match="no variant b"):
        logs.chosen(seen, None, "b")


# -- the end


BAD = "variant challenger: revision 3 (version 2) was rolled back: aborted"
WORSE = "variant control: revision 3 (version 4) was rolled back: aborted"


@pytest.mark.parametrize(
    ("status", "only", "ended"),
    [
        (arms(), None, Outcome(True, "2 variants serve")),
        (arms(challenger=HOLDS), None, None),
        (arms(STARTS, HOLDS), None, None),
        (arms(challenger=aborted()), None, Outcome(False, BAD)),
        (arms(STARTS, aborted()), None, None),
        (arms(aborted(CONTROL_NEW), aborted()), None, Outcome(False, f"{WORSE}; {BAD}")),
        # Of one that is named.
        (arms(STARTS, aborted()), "challenger", Outcome(False, BAD)),
        (arms(STARTS, aborted()), "control", None),
        (
            arms(challenger=HOLDS),
            "control",
            Outcome(True, "variant control: revision 3 (version 4) serves"),
        ),
        (arms(), "b", Outcome(False, "digits has no variant b any more")),
    ],
)
def test_all_have_ended_when_each_has(
    status: Status, only: str | None, ended: Outcome | None
) -> None:
    assert outcome(resource(status, spec=ARMS), only) == ended


def test_a_retry_of_one_is_awaited() -> None:
    status = arms(aborted(CONTROL_NEW), aborted())
    retried = resource(status, spec=ARMS, annotations={"retry": "zzz/1/0, ccc/1/1"})
    assert outcome(retried) is None
    assert outcome(retried, "challenger") is None
    assert outcome(retried, "control") == Outcome(False, WORSE)


def test_a_line_has_each_rollout() -> None:
    assert summary(resource(arms(STARTS, HOLDS), spec=ARMS)) == (
        "variant control: step 1 of 2, 50 %, Starting: 1 of 2 pods are ready; "
        "variant challenger: step 2 of 2, 50 %, Holding: waits to be promoted"
    )


# -- for programs


async def test_the_document_of_several() -> None:
    document = as_document(await pictured(cluster_of_arms(arms(aborted(CONTROL_NEW), HOLDS))))
    control, challenger = document["variants"]
    assert [control["name"], control["percent"]] == ["control", 80.0]
    assert [each["rollout"]["phase"] for each in (control, challenger)] == ["Failed", "Holding"]
    assert document["rollout"] == challenger["rollout"], "what goes on before what failed"
    assert document["revisions"] == control["revisions"] + challenger["revisions"]
    assert {each["variant"] for each in control["revisions"]} == {"control"}
    assert challenger["rollout"]["analysis"]["requests"] == 120
    assert sum(each["percent"] for each in document["revisions"]) == 100.0


async def test_a_variant_has_the_same_keys_whatever_it_does() -> None:
    full, quiet = as_document(await pictured(cluster_of_arms(arms(challenger=HOLDS))))["variants"]
    assert full.keys() == quiet.keys()
    empty: Any = as_document(read_picture(NOW, raw(None)))
    assert empty["variants"] == []
