"""The OpenAPI document tells every answer that an inference may get."""

from modelfleet_runtime import errors
from modelfleet_runtime.errors import ClientLeft, Refusal
from tests.unit.runtime.builders import doubling
from tests.unit.runtime.serving import running

INFERENCES = ("/predict", "/predict/batch", "/v2/models/m/infer", "/v2/models/m/versions/3/infer")


def heard() -> set[str]:
    """The statuses that a client may hear of a refusal. Nobody hears that a client left."""
    kinds = [kind for kind in vars(errors).values() if isinstance(kind, type)]
    refusals = [kind for kind in kinds if issubclass(kind, Refusal) and kind is not ClientLeft]
    return {str(kind.status) for kind in refusals}


async def test_every_status_of_an_inference_is_told() -> None:
    async with running(doubling()) as at:
        paths = (await at.client.get("/openapi.json")).json()["paths"]
    for path in INFERENCES:
        answers = paths[path]["post"]["responses"]
        assert answers.keys() == {"200", "431"} | heard()
        assert "Retry-After" in answers["503"]["headers"]
        assert "Allow" in answers["405"]["headers"]
        assert all("x-request-id" in answers[status]["headers"] for status in {"200"} | heard())
    for path in ("/health/live", "/health/ready", "/v2/health/live", "/v2/health/ready"):
        assert paths[path]["get"]["responses"].keys() == {"200", "503"}


async def test_the_headers_that_are_told_are_given() -> None:
    async with running(doubling(), loaded=False) as at:
        unready = await at.client.post("/predict", content=b"{}")
        assert unready.headers["retry-after"] == "1"
        assert unready.headers["x-request-id"]
        assert (await at.client.put("/predict")).headers["allow"] == "POST"
