"""Who answers whom, on the real Envoy: shares, sticky callers, matches, copies."""

import asyncio
import math
from collections import Counter
from dataclasses import replace

import httpx
import pytest

from modelfleet_contract import CALLER_HEADER
from modelfleet_operator.router.intervals import first, moved
from modelfleet_operator.router.routes import version
from modelfleet_operator.router.site import (
    HeaderMatch,
    Match,
    Mirror,
    StickyCookie,
    StickyHeader,
    all_to,
)
from tests.unit.operator.router.bed import on_ports, running, until
from tests.unit.operator.router.builders import A, B, C, site, split
from tests.unit.operator.router.callers import arms, call_all
from tests.unit.operator.router.pods import Pods, Request


def band(sent: int, share: float) -> tuple[float, float]:
    """Five standard deviations: one wrong alarm in two million."""
    width = 5 * math.sqrt(sent * share * (1 - share))
    return sent * share - width, sent * share + width


async def test_shares_are_those_of_the_weights(pods: Pods) -> None:
    await pods.add(A)
    await pods.add(B)
    wanted = on_ports()
    async with running([wanted], pods.dns.at, healthy={A: 1, B: 1}) as bed:
        for percent in (1, 5, 20, 50, 99):
            share = {B: percent * 100, A: 10_000 - percent * 100}
            await bed.serves(bed.write(replace(wanted, intervals=first(share))))
            found = Counter(await arms(wanted.http_port, [{}] * 4000))
            least, most = band(4000, percent / 100)
            assert least <= found[B] <= most, (percent, found)


async def test_no_request_goes_to_the_old_arm_after_the_version_was_seen(pods: Pods) -> None:
    await pods.add(A)
    await pods.add(B)
    wanted = on_ports()
    async with running([wanted], pods.dns.at, healthy={A: 1, B: 1}) as bed:
        for turn in range(20):
            to = (B, A)[turn % 2]
            one = replace(wanted, generation=turn + 2, intervals=all_to(to))
            await bed.serves(bed.write(one))
            assert (await bed.sites())["digits"].version == version(one)
            assert set(await arms(wanted.http_port, [{}] * 20)) == {to}


async def test_nobody_who_sticks_by_header_is_moved_back_by_a_ramp(pods: Pods) -> None:
    await pods.add(A)
    await pods.add(B)
    people = [{"x-user-id": f"user-{number}"} for number in range(10_000)]
    intervals = first({B: 500, A: 9500})
    wanted = on_ports(sticky=StickyHeader("x-user-id"), intervals=intervals)
    async with running([wanted], pods.dns.at, healthy={A: 1, B: 1}) as bed:
        before: set[int] = set()
        for percent in (5, 20, 50, 100):
            intervals = moved(intervals, {B: percent * 100, A: 10_000 - percent * 100})
            await bed.serves(bed.write(replace(wanted, intervals=intervals)))
            found = await arms(wanted.http_port, people)
            on_b = {number for number, arm in enumerate(found) if arm == B}
            assert before <= on_b, f"{len(before - on_b)} of {len(before)} were moved back"
            assert abs(len(on_b) - percent * 100) <= 150
            before = on_b
        assert len(before) == 10_000


async def test_callers_without_a_name_or_with_an_empty_one_are_split_by_chance(pods: Pods) -> None:
    await pods.add(A)
    await pods.add(B)
    wanted = on_ports(sticky=StickyHeader("x-user-id"), intervals=split(b=5000, a=5000))
    nameless: list[dict[str, str]] = [{}, {"x-user-id": ""}]
    async with running([wanted], pods.dns.at, healthy={A: 1, B: 1}):
        least, most = band(2000, 0.5)
        for headers in nameless:
            found = Counter(await arms(wanted.http_port, [headers] * 2000))
            assert least <= found[B] <= most, headers


async def test_a_pod_is_told_who_asks_by_nobody_but_the_router(pods: Pods) -> None:
    (pod,) = await pods.add(A)
    wanted = on_ports(sticky=StickyHeader("x-user-id"), intervals=all_to(A))
    async with running([wanted], pods.dns.at, healthy={A: 1}) as bed:
        claimed = {CALLER_HEADER: "somebody else"}
        await call_all(wanted.http_port, [{"x-user-id": "me", **claimed}, claimed])
        told = [request.headers.get(CALLER_HEADER) for request in pod.requests]
        assert sorted(told, key=str) == [None, "me"]
        await bed.serves(bed.write(replace(wanted, sticky=None)))
        pod.requests.clear()
        await call_all(wanted.http_port, [{"x-user-id": "me", **claimed}])
        assert CALLER_HEADER not in pod.requests[0].headers


async def test_a_cookie_keeps_a_caller_on_its_arm_and_a_ramp_does_not_move_it_back(
    pods: Pods,
) -> None:
    await pods.add(A)
    await pods.add(B)
    intervals = first({B: 2000, A: 8000})
    wanted = on_ports(sticky=StickyCookie("mf"), intervals=intervals)
    async with running([wanted], pods.dns.at, healthy={A: 1, B: 1}) as bed:
        # A request id that is always the same is no reason to be always on the same arm.
        new = await call_all(wanted.http_port, [{"x-request-id": "the-same"}] * 2000)
        least, most = band(2000, 0.2)
        assert least <= sum(reply.text == B for reply in new) <= most
        assert {reply.headers["x-request-id"] for reply in new} == {"the-same"}
        cookies = [reply.headers["set-cookie"].partition(";")[0] for reply in new]
        assert len(set(cookies)) == 2000
        known = [{"cookie": f"theme=dark; {cookie}"} for cookie in cookies]
        again = await call_all(wanted.http_port, known)
        assert [reply.text for reply in again] == [reply.text for reply in new]
        assert not any("set-cookie" in reply.headers for reply in again)
        ramp = moved(intervals, {B: 5000, A: 5000})
        await bed.serves(bed.write(replace(wanted, intervals=ramp)))
        later = await arms(wanted.http_port, known)
        assert all(arm == B for arm, reply in zip(later, new, strict=True) if reply.text == B)


async def test_three_sticky_arms_move_only_from_the_one_that_shrinks(pods: Pods) -> None:
    for revision in (A, B, C):
        await pods.add(revision)
    people = [{"x-user-id": f"user-{number}"} for number in range(2000)]
    now = first({B: 1000, C: 1000, A: 8000})
    wanted = on_ports(
        arms=site("digits", A, B, C).arms, sticky=StickyHeader("x-user-id"), intervals=now
    )
    async with running([wanted], pods.dns.at, healthy={A: 1, B: 1, C: 1}) as bed:
        before = await arms(wanted.http_port, people)
        then = moved(now, {B: 1000, C: 3000, A: 6000})
        await bed.serves(bed.write(replace(wanted, intervals=then)))
        after = await arms(wanted.http_port, people)
        changes = {(old, new) for old, new in zip(before, after, strict=True) if old != new}
        assert changes == {(A, C)}


async def test_a_match_decides_before_the_weights(pods: Pods) -> None:
    await pods.add(A)
    await pods.add(B)
    wanted = on_ports(
        matches=(
            Match(all_to(B), headers=(HeaderMatch("x-variant", "challenger"),)),
            Match(all_to(B), path_prefix="/v2/models/beta"),
        )
    )
    async with running([wanted], pods.dns.at, healthy={A: 1, B: 1}):
        port = wanted.http_port
        challenger = {"x-variant": "challenger"}
        assert set(await arms(port, [challenger] * 20)) == {B}
        assert set(await arms(port, [{"x-variant": "other"}, {}] * 20)) == {A}
        assert set(await arms(port, [{}] * 20, "/v2/models/beta/infer")) == {B}
        # A listener says itself which site it is of; a caller's word does not count.
        assert set(await arms(port, [{"x-modelfleet-site": "other"}] * 20)) == {A}


async def test_any_host_will_do_and_the_model_sees_it_and_none_of_our_headers(pods: Pods) -> None:
    (pod,) = await pods.add(A)
    wanted = on_ports()
    async with running([wanted], pods.dns.at, healthy={A: 1}) as bed:
        for name in ("digits.team.svc", "example.com:80", "x_y"):
            answer = await bed.get("/infer?a=b%2Fc", wanted.http_port, headers={"host": name})
            assert answer.status_code == 200
            assert pod.requests[-1].headers["host"] == name
            assert pod.requests[-1].path == "/infer?a=b%2Fc"
            assert not [key for key in pod.requests[-1].headers if key.startswith("x-modelfleet")]


async def _never(_: Request) -> tuple[int, bytes]:
    await asyncio.Event().wait()
    raise AssertionError


async def _fails(_: Request) -> tuple[int, bytes]:
    return 500, b"no"


@pytest.mark.parametrize("shadow", ["healthy", "fails", "hangs", "dead", "never there"])
async def test_a_copy_never_hurts_the_caller(pods: Pods, shadow: str) -> None:
    await pods.add(A)
    copies: list[Request] = []
    if shadow != "never there":
        handler = {"fails": _fails, "hangs": _never}.get(shadow)
        (pod,) = await pods.add(B, handler=handler)
        copies = pod.requests
    wanted = on_ports(mirrors=(Mirror(B),))
    async with running([wanted], pods.dns.at, healthy={A: 1}) as bed:
        if shadow != "never there":
            await bed.healthy(B, 1)
        if shadow == "dead":
            await pod.kill()
        assert set(await arms(wanted.http_port, [{}] * 1000)) == {A}
        if shadow in ("healthy", "fails"):
            assert len(copies) == 1000
            assert copies[0].headers["host"] == "any"
        if shadow == "hangs":  # and what hangs is bounded
            assert 0 < len(copies) <= 256


async def test_a_part_of_the_requests_is_copied(pods: Pods) -> None:
    await pods.add(A)
    (pod,) = await pods.add(B)
    wanted = on_ports(mirrors=(Mirror(B, 1000),))
    async with running([wanted], pods.dns.at, healthy={A: 1, B: 1}):
        await arms(wanted.http_port, [{}] * 2000)
        least, most = band(2000, 0.1)
        assert least <= len(pod.requests) <= most


async def test_the_pod_with_fewer_outstanding_requests_is_preferred(pods: Pods) -> None:
    released = asyncio.Event()

    async def waits(_: Request) -> tuple[int, bytes]:
        await released.wait()
        return 200, A.encode()

    (slow,) = await pods.add(A, handler=waits)
    (fast,) = [pod for pod in (await pods.add(A)) if pod is not slow]
    wanted = on_ports()
    async with running([wanted], pods.dns.at, healthy={A: 2}) as bed:
        sent: list[asyncio.Task[httpx.Response]] = []
        for number in range(1, 201):
            sent.append(asyncio.create_task(bed.get("/x", wanted.http_port)))

            async def arrived(number: int = number) -> bool:
                return len(slow.requests) + len(fast.requests) == number

            await until(arrived, "the request is at a pod")
        # Two pods are drawn for each, so it is taken only when it is drawn twice.
        assert len(slow.requests) < 80
        released.set()
        assert {reply.status_code for reply in await asyncio.gather(*sent)} == {200}
