"""The same requests as were sent to TorchServe 0.12, and the same answers but for those that are
named here, each with its reason.

`recorded.json` is the original's; `record.py` made it.
"""

import json
from collections.abc import Iterator
from typing import Any

import pytest

from tests.unit.runtime.processes import Runtime, runtime
from tests.unit.runtime.torchserve.archives import probe, zipped
from tests.unit.runtime.torchserve.cases import CASES, Case
from tests.unit.runtime.torchserve.differences import ANY, DIFFERENCES
from tests.unit.runtime.torchserve.record import RECORDED, ask

RECORDS: dict[str, Any] = json.loads(RECORDED.read_text())


@pytest.fixture(scope="module")
def served(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[int, int]]:
    """The ports for inference and management."""
    folder = tmp_path_factory.mktemp("served")
    archive = zipped(folder / "probe.mar", probe())
    with runtime(folder, str(archive), "--management-port", "0") as started:
        yield _ports(started.ready())


def _ports(started: Runtime) -> tuple[int, int]:
    management = started.heard(r"management on http://[0-9.]+:(\d+)")[1]
    return int(started.url.rpartition(":")[2]), int(management)


@pytest.mark.parametrize("case", CASES, ids=lambda case: case.name)
def test_as_recorded(case: Case, served: tuple[int, int]) -> None:
    port = served[1] - 1 if case.management else served[0]
    answer = ask(case, port)
    recorded = RECORDS[case.name]
    difference = DIFFERENCES.get(case.name)
    if difference is None:
        assert seen(answer) == seen(recorded)
    else:
        assert answer["status"] == difference.status
        assert difference.body in (ANY, json_of(answer))
        assert seen(answer) != seen(recorded), "there is no difference any more: take it away"


def seen(answer: dict[str, Any]) -> tuple[int, Any, dict[str, str]]:
    headers = {
        key: value
        for key, value in answer["headers"].items()
        if key in ("content-type", "x-made", "x-upper")
    }
    return answer["status"], json_of(answer), headers


def json_of(answer: dict[str, Any]) -> Any:
    try:
        return json.loads(answer["body"])
    except ValueError:
        return answer["body"]


def test_a_description_has_the_originals_keys(served: tuple[int, int]) -> None:
    case = next(one for one in CASES if one.name == "management: GET /models/probe")
    (ours,) = json_of(ask(case, served[1] - 1))
    (theirs,) = json_of(RECORDS[case.name])
    assert list(ours) == list(theirs)
    changed = {key for key in theirs if ours[key] != theirs[key]}
    assert changed == {"maxBatchDelay", "workers", "jobQueueStatus"}
    assert ours["workers"][0]["status"] == "READY"


def test_every_difference_is_of_a_case() -> None:
    assert set(DIFFERENCES) <= {case.name for case in CASES}


def test_the_cases_have_names_of_their_own() -> None:
    names = [case.name for case in CASES]
    assert len(names) == len(set(names))
