"""Which pod gets a request, on the real Envoy: dead, sick, leaving, unnamed and foreign ones."""

import asyncio
from collections.abc import Sequence
from dataclasses import replace

import pytest

from modelfleet_operator.api.routing import Retries
from modelfleet_operator.router.files import Pair
from modelfleet_operator.router.site import Arm, Discovery
from tests.unit.operator.router.bed import on_ports, running, until
from tests.unit.operator.router.builders import A, B, arm
from tests.unit.operator.router.callers import arms, call_all
from tests.unit.operator.router.pods import Pod, Pods, Request


async def _hangs(_: Request) -> tuple[int, bytes]:
    await asyncio.Event().wait()
    raise AssertionError


async def _fails(_: Request) -> tuple[int, bytes]:
    return 500, b"no"


async def test_an_address_that_was_given_to_another_model_gets_nothing(pods: Pods) -> None:
    await pods.add(A)
    (reused,) = await pods.add(A, says_it_is="another-model")
    wanted = on_ports()
    async with running([wanted], pods.dns.at, healthy={A: 1}) as bed:

        async def checked() -> bool:
            return reused.checks >= 3

        await until(checked, "it was checked")
        await arms(wanted.http_port, [{}] * 200)
        assert reused.requests == []
        assert (await bed.observed()).members[A].total == 2


async def test_one_that_cannot_name_itself_is_served_without_that_check(pods: Pods) -> None:
    await pods.add(A, says_it_is="another-model")
    wanted = on_ports(arms=(arm(A, names_itself=False), arm(B)))
    async with running([wanted], pods.dns.at, healthy={A: 1}):
        assert set(await arms(wanted.http_port, [{}] * 20)) == {A}


async def test_a_pod_that_says_it_is_leaving_is_left_and_loses_nothing(pods: Pods) -> None:
    leaving, _ = await pods.add(A, 2)
    wanted = on_ports()
    async with running([wanted], pods.dns.at, healthy={A: 2}) as bed:
        leaving.healthy = False
        await arms(wanted.http_port, [{}] * 500)
        await bed.healthy(A, 1)
        leaving.requests.clear()
        await arms(wanted.http_port, [{}] * 200)
        assert leaving.requests == []


@pytest.mark.parametrize("body", [0, 3_000_000], ids=["no body", "3 MB"])
async def test_a_request_that_reached_no_pod_is_sent_to_another(pods: Pods, body: int) -> None:
    dead, *_ = await pods.add(A, 2)
    wanted = on_ports()
    async with running([wanted], pods.dns.at, healthy={A: 2}) as bed:
        await dead.kill()
        for _ in range(12):
            answer = await bed.client.post(
                f"http://127.0.0.1:{wanted.http_port}/infer", content=b"x" * body
            )
            assert answer.status_code == 200, answer.text


@pytest.mark.parametrize(("retries", "twice"), [(Retries.SAFE, False), (Retries.IDEMPOTENT, True)])
async def test_what_a_pod_has_seen_is_sent_again_only_where_it_is_allowed(
    pods: Pods, retries: Retries, twice: bool
) -> None:
    seen: list[Pod] = []

    async def dies(request: Request) -> tuple[int, bytes]:
        """The first pod that gets a request dies of it."""
        pod = next(pod for pod in pods.all if request in pod.requests)
        seen.append(pod)
        if len(seen) == 1:
            for connection in list(pod.connections):
                connection.transport.abort()
            await asyncio.Event().wait()
        return 200, b"computed"

    await pods.add(A, 2, handler=dies)
    wanted = on_ports(retries=retries)
    async with running([wanted], pods.dns.at, healthy={A: 2}) as bed:
        answer = await bed.get("/infer", wanted.http_port)
        assert (answer.status_code, len(seen)) == ((200, 2) if twice else (503, 1))


async def test_a_callers_own_wish_to_try_again_has_no_effect(pods: Pods) -> None:
    (pod,) = await pods.add(A, handler=_fails)
    wanted = on_ports()
    wish = {"x-envoy-retry-on": "5xx", "x-envoy-max-retries": "3"}
    async with running([wanted], pods.dns.at, healthy={A: 1}) as bed:
        answer = await bed.get("/infer", wanted.http_port, headers=wish)
        assert (answer.status_code, answer.text, len(pod.requests)) == (500, "no", 1)


async def test_one_that_hangs_is_answered_504_and_then_left_alone(pods: Pods) -> None:
    (hung,) = await pods.add(A, handler=_hangs)
    wanted = on_ports(timeout_s=0.001)  # and the five seconds that the runtime has beyond it
    async with running([wanted], pods.dns.at, healthy={A: 1}) as bed:
        answer = await bed.get("/infer", wanted.http_port)
        assert answer.status_code == 504
        assert len(hung.requests) == 1


async def test_a_model_that_answers_500_is_never_ejected(pods: Pods) -> None:
    await pods.add(A, 2, handler=_fails)
    wanted = on_ports()
    async with running([wanted], pods.dns.at, healthy={A: 2}) as bed:
        replies = await call_all(wanted.http_port, [{}] * 500)
        assert {(reply.status, reply.text) for reply in replies} == {(500, "no")}
        assert (await bed.observed()).members[A].healthy == 2


@pytest.mark.parametrize("count", [1, 2])
async def test_ejection_never_empties_a_revision(pods: Pods, count: int) -> None:
    """Every connection breaks, health checks pass: whoever comes is still tried on a pod."""

    async def breaks(request: Request) -> tuple[int, bytes]:
        pod = next(pod for pod in pods.all if request in pod.requests)
        for connection in list(pod.connections):
            connection.transport.abort()
        await asyncio.Event().wait()
        raise AssertionError

    made = await pods.add(A, count, handler=breaks)
    wanted = on_ports()
    async with running([wanted], pods.dns.at, healthy={A: count}) as bed:
        for _ in range(40):
            await bed.get("/infer", wanted.http_port)
        before = sum(len(pod.requests) for pod in made)
        for _ in range(10):
            answer = await bed.get("/infer", wanted.http_port)
            assert "no healthy upstream" not in answer.text
        assert sum(len(pod.requests) for pod in made) >= before + 10


async def test_while_no_pod_passes_its_check_all_of_them_are_tried(pods: Pods) -> None:
    made = await pods.add(A, 2)
    wanted = on_ports()
    async with running([wanted], pods.dns.at, healthy={A: 2}) as bed:
        for pod in made:
            pod.healthy = False
        await bed.healthy(A, 0)
        assert set(await arms(wanted.http_port, [{}] * 50)) == {A}


async def test_a_pod_that_the_dns_does_not_name_for_a_while_is_kept(pods: Pods) -> None:
    await pods.add(A, 2)
    wanted = on_ports()
    async with running([wanted], pods.dns.at, healthy={A: 2}) as bed:
        asked = pods.dns.asked
        pods.name(A)
        await _asked_again(pods, asked)
        assert (await bed.observed()).members[A].healthy == 2
        assert set(await arms(wanted.http_port, [{}] * 50)) == {A}


async def test_it_serves_on_while_the_dns_is_away_and_finds_what_came_meanwhile(
    pods: Pods,
) -> None:
    old, _ = await pods.add(A, 2)
    wanted = on_ports()
    async with running([wanted], pods.dns.at, healthy={A: 2}) as bed:
        pods.dns.away = True
        await old.kill()
        assert set(await arms(wanted.http_port, [{}] * 200)) == {A}
        await pods.add(A)
        pods.dns.away = False
        pods.name(A, *[pod for pod in pods.of(A) if pod is not old])
        await bed.healthy(A, 2)


async def test_a_router_that_starts_without_the_dns_answers_when_it_comes(pods: Pods) -> None:
    await pods.add(A)
    wanted = on_ports()
    pods.dns.table.clear()
    async with running([wanted], pods.dns.at) as bed:
        answer = await bed.get("/infer", wanted.http_port)
        assert answer.status_code == 503
        pods.name(A, *pods.of(A))
        await bed.healthy(A, 1)
        assert set(await arms(wanted.http_port, [{}] * 10)) == {A}


def _with_addresses(arms_: Sequence[Arm], *pods: Pod) -> tuple[Arm, ...]:
    addresses = tuple(pod.address for pod in pods)
    return tuple(
        replace(each, addresses=addresses) if each.revision == A else each for each in arms_
    )


async def test_with_addresses_in_front_pods_are_found_however_old_the_dns_answers_are(
    pods: Pods,
) -> None:
    old = await pods.add(A, 2)
    pair = Pair(discovery=Discovery.ENDPOINTS)
    wanted = on_ports()
    wanted = replace(wanted, arms=_with_addresses(wanted.arms, *old))
    async with running([wanted], pods.dns.at, pair, healthy={A: 2}) as bed:
        assert set(await arms(wanted.http_port, [{}] * 100)) == {A}
        new = await pods.add(A, 2)
        pods.name(A, *old)  # it still says so
        await bed.serves(
            bed.write(replace(wanted, arms=_with_addresses(wanted.arms, *new), generation=2))
        )

        async def both_new_ones() -> bool:
            await arms(wanted.http_port, [{}] * 20)
            return all(pod.requests for pod in new)

        await until(both_new_ones, "the new pods get requests")
        for pod in old:
            await pod.kill()
        assert set(await arms(wanted.http_port, [{}] * 200)) == {A}
        counted = (await bed.statistics())[A]
        assert counted.completed == sum(len(pod.requests) for pod in [*old, *new])


async def test_with_addresses_in_front_the_dns_takes_over_when_nobody_writes_them(
    pods: Pods,
) -> None:
    """All pods are replaced while the operator is away."""
    old = await pods.add(A, 2)
    wanted = on_ports()
    wanted = replace(wanted, arms=_with_addresses(wanted.arms, *old))
    pair = Pair(discovery=Discovery.ENDPOINTS)
    async with running([wanted], pods.dns.at, pair, healthy={A: 2}) as bed:
        new = await pods.add(A, 2)
        pods.name(A, *new)
        for pod in old:
            pod.healthy = False

        async def left() -> bool:
            for pod in old:
                pod.requests.clear()
            assert set(await arms(wanted.http_port, [{}] * 20)) == {A}
            return not any(pod.requests for pod in old)

        await until(left, "the old pods get nothing any more")
        for pod in old:
            await pod.kill()
        assert set(await arms(wanted.http_port, [{}] * 200)) == {A}
        assert (await bed.observed()).members[A].healthy == 2


async def _asked_again(pods: Pods, before: int) -> None:
    async def so() -> bool:
        return pods.dns.asked >= before + 6

    await until(so, "the name was asked for again")
