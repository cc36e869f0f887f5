"""What every test against the real Envoy starts with."""

from collections.abc import AsyncIterator

import pytest

from tests.unit.operator.router.pods import Pods, cluster


@pytest.fixture
async def pods() -> AsyncIterator[Pods]:
    async with cluster() as found:
        yield found
