"""Packages of other servers answer on ours as they do on their own.

`recorded/` holds what the originals answered (`make record-contracts`); `cases.py` says where ours
differs, and why.
"""

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest

from tests.unit.runtime.contracts.cases import CASES, MORE, Case
from tests.unit.runtime.contracts.record import ENV, HERE, send
from tests.unit.runtime.processes import client, runtime

RECORDED = {
    server: json.loads((HERE / "recorded" / f"{server}.json").read_text())["answers"]
    for server in CASES
}
ALL = [(server, case) for server, cases in CASES.items() for case in cases]
PACKAGES = sorted({case.package for _, case in ALL})


@pytest.fixture(scope="module", params=PACKAGES)
def served(
    request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[tuple[str, httpx.Client]]:
    """One server for all cases of a package."""
    folder = tmp_path_factory.mktemp("contract")
    with runtime(folder, str(HERE / "packages" / request.param), **ENV) as started:
        with client(started.ready().url) as asking:
            yield request.param, asking


def test_each_answer_is_the_originals(served: tuple[str, httpx.Client]) -> None:
    package, asking = served
    server = package.partition("/")[0]
    wrong = []
    for case in CASES[server]:
        if case.package == package:
            wrong += differences(
                case, RECORDED[server][package][case.name], send(asking, case, server)
            )
    assert not wrong, "\n".join(wrong)


def differences(case: Case, theirs: dict[str, Any], ours: dict[str, Any]) -> list[str]:
    """What differs without being allowed, and what is allowed and does not differ."""
    found = []
    for name in sorted(theirs.keys() | ours.keys() | case.ours.keys()):
        have, want = ours.get(name), theirs.get(name)
        if name in MORE and want is None:
            continue
        if name in case.ours:
            if have == want or case.ours[name] not in (None, have):
                found.append(f"{case.name}: {name} is {have!r}; {case.ours[name]!r} was allowed")
        elif have != want:
            found.append(f"{case.name}: {name} is {have!r}, and the original's is {want!r}")
    return found


def test_there_is_an_answer_for_each_case_and_no_other() -> None:
    for server, cases in CASES.items():
        names = [(case.package, case.name) for case in cases]
        kept = [(package, name) for package, its in RECORDED[server].items() for name in its]
        assert sorted(names) == sorted(kept)


def test_each_difference_has_a_reason() -> None:
    assert [c.name for _, c in ALL if bool(c.ours) != bool(c.why)] == []


def test_the_table_covers_the_protocols() -> None:
    assert {Path(package).parts[0] for package in PACKAGES} == set(CASES)
    assert len(ALL) >= 80
