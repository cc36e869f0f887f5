"""Every request is accounted for while a rollout goes on or something is killed: the short form of
`make bench-rollout`, which has the other causes."""

import uuid
from collections.abc import Callable, Iterator
from functools import partial

import pytest

from benchmarks.rollout import causes
from benchmarks.rollout.row import Row, line
from benchmarks.rollout.stage import Stage, World
from benchmarks.rollout.witness import Listener, Witness
from dev.cluster import Cluster
from tests.e2e.kube import Kube
from tests.e2e.store import Store

RATE = 100


@pytest.fixture(scope="module")
def world(operator: str, cluster: Cluster, kube: Kube, store: Store) -> Iterator[World]:
    """One namespace for all of these, so that they share a pair of routers."""
    namespace = f"loss-{uuid.uuid4().hex[:5]}"
    kube.kubectl("create", "namespace", namespace)
    kube.kubectl("label", "namespace", namespace, "modelfleet-test=yes")
    listener = Listener(cluster.host_ip)
    yield World(cluster, kube, store, listener, namespace, RATE)
    listener.close()
    kube.kubectl("delete", "namespace", namespace, "--wait=false")


def play(world: World, cause: str, what: Callable[[Stage], None]) -> Row:
    stage = Stage(world, cause)
    stage.apply(Witness(1))
    stage.until_ready()
    row = stage.under_load(cause, what)
    assert row.sent == row.answered + row.failed + row.refused + row.lost
    return row


@pytest.mark.parametrize(
    ("cause", "what"),
    [
        ("promoted", partial(causes.promotion, weights=(5, 50))),
        ("aborted", partial(causes.abort_at_each_step, weights=(30,))),
        ("deleted", partial(causes.pods_deleted, many=1)),
        ("force-deleted", partial(causes.pods_force_deleted, many=1)),
        ("router-deleted", causes.routers_deleted),
        ("operator-killed", partial(causes.operator_killed_at_each_step, weights=(50,))),
    ],
)
def test_nothing_is_lost_and_nothing_is_run_twice(
    world: World, cause: str, what: Callable[[Stage], None]
) -> None:
    row = play(world, cause, what)
    assert row.answered == row.sent, line(row)
    assert row.duplicated == 0, line(row)


def test_a_model_that_is_killed_takes_only_the_requests_inside_it_along(world: World) -> None:
    row = play(world, "killed", causes.models_killed)
    assert row.lost == row.lost_inside, line(row)
    assert row.duplicated == 0, line(row)


def test_a_router_that_is_killed_leaves_nobody_hanging(world: World) -> None:
    row = play(world, "router-killed", causes.routers_killed)
    assert all("onnection" in reason for reason in row.reasons), line(row)
    assert row.duplicated == 0, line(row)
