"""Tests that ask the same of both transports use the fixture `transport`."""

import pytest

from tests.unit.runtime.grpc import serving


@pytest.fixture(params=["own", "grpcio"])
def transport(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> str:
    name: str = request.param
    monkeypatch.setattr(serving, "TRANSPORT", name)
    return name
