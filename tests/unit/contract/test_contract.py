"""Laws of what the halves hand to each other: written and read again it is the same."""

import json
from datetime import timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import ValidationError

from modelfleet_contract import (
    Batching,
    Failure,
    FailureReason,
    ModelFormat,
    ModelSource,
    ServeDocument,
    format_duration,
    parse_duration,
)

KUBELET = 4096
"""Bytes of the termination log that the kubelet keeps."""

durations = st.timedeltas(timedelta(0), timedelta(days=365))
path = st.text("abz09._-/", min_size=1, max_size=40)
uris = st.one_of(
    path.map(lambda p: f"file:///{p}"),
    path.map(lambda p: f"pvc://claim/{p}"),
    path.map(lambda p: f"https://host:8443/{p}"),
    path.map(lambda p: f"http://host/{p}"),
)
sources = st.builds(
    ModelSource,
    uri=uris,
    digest=st.none()
    | st.text("0123456789abcdef", min_size=64, max_size=64).map("sha256:{}".format),
    format=st.sampled_from(ModelFormat),
    version=st.none() | st.text(min_size=1, max_size=63),
)
documents = st.builds(
    ServeDocument,
    name=st.text(min_size=1, max_size=253),
    namespace=st.text(max_size=20),
    revision=st.text(max_size=20),
    model=sources,
    batching=st.builds(
        Batching,
        max_size=st.integers(1, 4096),
        max_delay=durations,
        queue_size=st.integers(1, 65536),
    ),
    timeout=durations,
)


@given(documents)
def test_a_document_reads_as_it_was_written(document: ServeDocument) -> None:
    text = document.to_json()
    assert "\n" not in text
    again = ServeDocument.from_json(text)
    assert again == document
    assert again.to_json() == text
    assert again.location == document.location
    assert again.location.is_absolute()


@given(documents, st.sampled_from(["", "model", "batching"]))
def test_what_a_document_does_not_know_is_refused(document: ServeDocument, at: str) -> None:
    value = json.loads(document.to_json())
    value.setdefault(at, {})["unknown"] = 1
    if not at:
        value["unknown"] = 1
    with pytest.raises(ValidationError, match="unknown"):
        ServeDocument.from_json(json.dumps(value))


@given(durations)
def test_a_duration_is_written_shortly_and_in_falling_units(length: timedelta) -> None:
    text = format_duration(length)
    assert len(text) <= 32
    assert parse_duration(text) == length
    assert format_duration(parse_duration(text)) == text


@given(st.text(max_size=40) | st.text("0123456789hmsu", max_size=12))
def test_any_text_is_a_duration_or_a_sentence(text: str) -> None:
    try:
        said, length = "", parse_duration(text)
    except ValueError as error:
        said, length = str(error), timedelta(0)
    assert not said or "write" in said
    assert timedelta(0) <= length <= timedelta(days=365)


@given(st.sampled_from(FailureReason), st.text("aü€😀 ", min_size=1, max_size=5000))
def test_a_failure_survives_the_kubelets_bound(reason: FailureReason, message: str) -> None:
    line = Failure(reason=reason, message=message).to_termination_log()
    kept = line.encode()[-KUBELET:].decode(errors="replace")
    back = Failure.from_termination_log(kept)
    assert back is not None
    assert back.reason is reason
    assert message.startswith(back.message)
    assert "\n" not in line


@pytest.mark.parametrize("escaped", ['"', "\\", "\n", "\x01"])
def test_a_failure_of_characters_that_json_escapes_survives_too(escaped: str) -> None:
    line = Failure(reason=FailureReason.MODEL_INVALID, message=escaped * 3000).to_termination_log()
    back = Failure.from_termination_log(line.encode()[-KUBELET:].decode())
    assert back is not None
    assert back.reason is FailureReason.MODEL_INVALID


@given(st.text())
def test_any_termination_log_is_read(text: str) -> None:
    failure = Failure.from_termination_log(text)
    assert (failure is None) == (not text.strip())
