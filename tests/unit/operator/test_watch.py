"""Whom does a change of an object concern?"""

import asyncio
import threading
from typing import Any

import kopf
import pytest

from modelfleet_operator.api import labels
from modelfleet_operator.children import routing
from modelfleet_operator.loop import Key
from modelfleet_operator.router import pod
from modelfleet_operator.watch import belongs_to, watch
from tests.unit.operator.builders import NAME, NAMESPACE, resource
from tests.unit.operator.router.builders import site

OWNER, PAIR = Key(NAMESPACE, NAME), Key(NAMESPACE, pod.SHARED)
ROUTERS = pod.Routers(NAMESPACE, "router:1")


@pytest.mark.parametrize(
    ("carried", "concerns"),
    [
        pytest.param({labels.DEPLOYMENT: NAME}, (OWNER, None), id="a child"),
        pytest.param(
            routing.build(resource(), site())["metadata"]["labels"],
            (OWNER, PAIR),
            id="what the routers are told concerns the shared pair, and no pair of its own name",
        ),
        *(
            pytest.param(each["metadata"]["labels"], (None, PAIR), id=f"the pair's {each['kind']}")
            for each in pod.all_of(ROUTERS, {})
        ),
        pytest.param(pod.selector("digits"), (None, OWNER), id="a router of a pair of its own"),
        pytest.param({"app.kubernetes.io/managed-by": "modelfleet"}, (None, None), id="neither"),
    ],
)
def test_an_object_concerns(
    carried: dict[str, str], concerns: tuple[Key | None, Key | None]
) -> None:
    assert belongs_to(NAMESPACE, carried) == concerns


async def test_a_watch_that_ends_for_good_ends_the_process(monkeypatch: pytest.MonkeyPatch) -> None:
    """So it is when somebody deletes the definition of the resource."""

    async def fails(*, stop_flag: threading.Event, **_: Any) -> None:
        asyncio.get_running_loop().run_in_executor(None, stop_flag.wait)  # as kopf does
        raise RuntimeError("404 page not found")

    monkeypatch.setattr(kopf, "operator", fails)
    async with asyncio.timeout(30):
        with pytest.raises(RuntimeError, match="404"):
            await watch(lambda _: None, lambda _: None, ())
