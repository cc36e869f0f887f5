"""The OpenAPI document against the server: every operation is asked as the document says, and
otherwise, and answers with a status, a type and a shape that the document has."""

from collections.abc import Iterator
from typing import Any

import pytest
import schemathesis
from hypothesis import HealthCheck, given, settings
from schemathesis import GenerationMode
from schemathesis.checks import not_a_server_error
from schemathesis.core.result import Ok
from schemathesis.specs.openapi.checks import (
    content_type_conformance,
    response_schema_conformance,
    status_code_conformance,
)

from tests.unit.runtime.processes import DIGITS, PATIENCE, Runtime, client, metric, runtime

Operation = schemathesis.APIOperation[Any, Any, Any, Any]

# What a schema cannot say (a body and its Content-Encoding, a shape and its data) is refused even
# where the schema is met, so that check is left out.
CHECKS = [
    not_a_server_error,
    status_code_conformance,
    content_type_conformance,
    response_schema_conformance,
]


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Runtime]:
    arguments = str(DIGITS), "--name", "digits", "--feedback", "clicked"
    with runtime(tmp_path_factory.mktemp("openapi"), *arguments) as running:
        yield running.ready()


@pytest.fixture(scope="module")
def operations(server: Runtime) -> list[Operation]:
    document = schemathesis.openapi.from_url(f"{server.url}/openapi.json", timeout=PATIENCE)
    made = list(document.get_all_operations())
    assert all(isinstance(result, Ok) for result in made)
    return [result.ok() for result in made if isinstance(result, Ok)]


@pytest.mark.parametrize("mode", list(GenerationMode))
def test_each_operation_answers_as_the_document_says(
    operations: list[Operation], mode: GenerationMode
) -> None:
    assert len(operations) > 10
    for operation in operations:
        if mode is GenerationMode.NEGATIVE and not operation.body:
            continue  # any text is a name

        @settings(max_examples=12, deadline=None, derandomize=True, database=None,
                  suppress_health_check=[*HealthCheck])  # fmt: skip
        @given(case=operation.as_strategy(generation_mode=mode))
        def ask(case: schemathesis.Case[Any]) -> None:
            case.call_and_validate(checks=CHECKS, timeout=PATIENCE)

        ask()


def test_the_server_is_well_after_all_of_it(server: Runtime) -> None:
    with client(server.url) as http:
        page = http.get("/metrics").text
    assert metric(page, "inference_in_progress") == 0
    assert metric(page, "inference_queue_bytes") == 0
    assert '"level": "error"' not in server.log
