"""Sites with everything filled in, so that a case says only what it is about."""

from typing import Any

from modelfleet_operator.router.site import Arm, Interval, Intervals, Site, all_to
from tests.unit.operator.router.pods import host

A, B, C = "digits-a", "digits-b", "digits-c"


def arm(revision: str, **more: Any) -> Arm:
    return Arm(**{"revision": revision, "host": host(revision), "http_port": 8080, **more})


def split(**parts: int) -> Intervals:
    """`split(b=2000, a=8000)`: in that order."""
    return tuple(Interval(f"digits-{name}", count) for name, count in parts.items())


def site(name: str = "digits", *revisions: str, **more: Any) -> Site:
    """Everything to the first revision."""
    known = revisions or (A, B)
    wanted = {
        "name": name,
        "generation": 1,
        "http_port": 10_000,
        "grpc_port": 10_001,
        "arms": tuple(arm(revision) for revision in known),
        "intervals": all_to(known[0]),
        **more,
    }
    return Site(**wanted)
