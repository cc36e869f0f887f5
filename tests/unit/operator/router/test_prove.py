"""What is never written to a router, and what is said about it."""

from typing import Any

import pytest

from modelfleet_operator.router.prove import faults
from modelfleet_operator.router.site import (
    HeaderMatch,
    Match,
    Mirror,
    StickyCookie,
    StickyHeader,
    all_to,
)
from tests.unit.operator.router.builders import A, B, arm, site, split

ONE = HeaderMatch("x-variant", "one")


def test_a_site_with_everything_has_no_fault() -> None:
    whole = site(
        arms=(arm(A, grpc_port=8081), arm(B, addresses=("10.0.0.1", "fd00::1"))),
        intervals=split(b=1000, a=8000) + split(b=1000),
        matches=(Match(all_to(B), (ONE,)), Match(all_to(A), path_prefix="/v2/models/x y"[:-2])),
        sticky=StickyCookie("mf-id"),
        mirrors=(Mirror(B, 100),),
    )
    assert faults(whole) == []


@pytest.mark.parametrize(
    ("wrong", "said"),
    [
        ({"name": "a.b"}, "the name of the ModelDeployment is 'a.b': write lower-case letters"),
        ({"name": "all_sites"}, "is 'all_sites': write lower-case letters"),
        ({"name": "x" * 64}, "has 64 characters: write at most 63"),
        ({"http_port": 80}, "the HTTP port on the router is 80: take one from 10000 to 19999"),
        ({"grpc_port": 10_000}, "HTTP and gRPC have the same port on the router, 10000"),
        ({"arms": (arm(A), arm(A))}, "revision digits-a is there 2 times: name it once"),
        ({"arms": (arm("a.b"),), "intervals": all_to("a.b")}, "a revision is 'a.b'"),
        ({"arms": (arm(A, host="a b"),)}, "revision digits-a has the host 'a b'"),
        ({"arms": (arm(A, host=""),)}, "revision digits-a has the host ''"),
        ({"arms": (arm(A, grpc_port=0),)}, "revision digits-a has the port 0"),
        ({"arms": (arm(A, addresses=("pod-1",)),)}, "has the address 'pod-1': write a pod's IP"),
        ({"intervals": all_to("gone")}, "the weights name the revision gone, which the router"),
        ({"intervals": split(a=9999)}, "the weights sum to 9999: they must sum to 10000"),
        ({"intervals": ()}, "the weights sum to 0"),
        ({"intervals": split(a=10_001, b=-1)}, "the weights give digits-b -1 parts"),
        ({"intervals": (split(a=1) + split(b=1)) * 5000}, "in 10000 pieces: at most 256"),
        ({"matches": (Match(all_to(A)),)}, "match 1 matches every request"),
        ({"matches": (Match(all_to("gone"), (ONE,)),)}, "of match 1 name the revision gone"),
        ({"matches": (Match(all_to(A), path_prefix="v2"),)}, "match 1 has the path 'v2': begin"),
        ({"matches": (Match(all_to(A), path_prefix="/a?b"),)}, "leave out spaces, ? and #"),
        (
            {"matches": (Match(all_to(A), (HeaderMatch("x y", "1"),)),)},
            "match 1 has the header 'x y': write a header's name",
        ),
        (
            {"matches": (Match(all_to(A), (HeaderMatch("x", "1\r\ny: 2"),)),)},
            "match 1 has a value of x with a line break",
        ),
        (
            {"matches": (Match(all_to(A), (HeaderMatch("X-ModelFleet-Site", "1"),)),)},
            "which the router itself writes: take another",
        ),
        (
            {
                "matches": (
                    Match(all_to(A), (ONE,)),
                    Match(all_to(B), (HeaderMatch("X-Variant", "one"),), "/v2"),
                )
            },
            "match 2 is never reached: match 1 takes all of its requests",
        ),
        ({"sticky": StickyHeader(":path")}, "sticky has the header ':path'"),
        ({"sticky": StickyCookie("a=b")}, "sticky has the cookie 'a=b'"),
        ({"sticky": StickyCookie("a%b")}, "sticky has the cookie 'a%b'"),
        ({"sticky": StickyCookie("a", 0)}, "sticky has a cookie for 0 seconds"),
        ({"mirrors": (Mirror("gone"),)}, "mirrored to gone, which the router is not told"),
        ({"mirrors": (Mirror(B), Mirror(B))}, "digits-b is mirrored to 2 times"),
        ({"mirrors": (Mirror(B, 10_001),)}, "digits-b is mirrored 10001 parts"),
        ({"timeout_s": 0}, "the timeout is 0 s"),
        ({"retry_body_bytes": -1}, "bodies of -1 bytes are kept"),
    ],
)
def test_what_is_wrong_is_said_with_what_to_write(wrong: dict[str, Any], said: str) -> None:
    found = faults(site(**wrong))
    assert any(said in sentence for sentence in found), found
    assert all(sentence.endswith((".", ")")) for sentence in found)
