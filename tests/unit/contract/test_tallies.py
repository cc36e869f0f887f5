"""What the operator reads of a pod's counts."""

import pytest
from pydantic import ValidationError

from modelfleet_contract import CALLER_BUCKETS, Sums, Tallies, bucket_of

PAGE = """{"boot": "b", "started": 1.5, "buckets": 1024, "revisions": {"digits-x": {
 "requests": 3, "errors": 1,
 "callers": {"requests": {"17": 3}, "errors": {"17": 1}},
 "values": {"clicked": {"requests": 2, "nonzero": 1, "sum": -2.5, "squares": 6.25,
                        "callers": {"17": [2, -2.5, 6.25]}}}}}}"""


def test_a_page_is_read() -> None:
    tally = Tallies.from_json(PAGE).revisions["digits-x"]
    assert (tally.requests, tally.errors) == (3, 1)
    assert (tally.callers.requests, tally.callers.errors) == ({17: 3}, {17: 1})
    assert tally.values["clicked"].callers == {17: Sums(2, -2.5, 6.25)}


def test_what_a_later_version_adds_is_left_alone() -> None:
    assert Tallies.from_json(PAGE.replace('"boot"', '"later": [], "boot"')).boot == "b"


@pytest.mark.parametrize(
    ("good", "bad"),
    [
        ('"17": 3', '"1024": 3'),
        ('"17": 3', '"-1": 3'),
        ('"17": 3', '"17": -3'),
        ("1024", "4096"),
        ("-2.5", "NaN"),
        ("[2, -2.5, 6.25]", "[2, -2.5]"),
        ('"clicked"', '"a name"'),
        ('"clicked"', f'"{64 * "a"}"'),
        ('"values": {', '"values": {' + "".join(f'"v{n}": {{}}, ' for n in range(24))),
        ('"digits-x"', f'"{254 * "a"}"'),
        ('"digits-x"', "".join(f'"r{n}": {{}}, ' for n in range(128)) + '"digits-x"'),
    ],
)
def test_a_page_that_cannot_be_is_refused(good: str, bad: str) -> None:
    with pytest.raises(ValidationError):
        Tallies.from_json(PAGE.replace(good, bad))


def test_a_caller_has_the_same_bucket_in_every_process() -> None:
    assert (bucket_of(b"ada"), bucket_of(b"user-17")) == (872, 185)
    assert {bucket_of(str(n).encode()) for n in range(20_000)} == set(range(CALLER_BUCKETS))
