"""The document that both halves share survives the way through the environment."""

from datetime import timedelta
from pathlib import PurePosixPath

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import ValidationError

from modelfleet_contract import Batching, ModelFormat, ModelSource, Scheme, ServeDocument

durations = st.timedeltas(timedelta(0), timedelta(days=300))
words = st.text("abcdefghijklmnopqrstuvwxyz0123456789-.", min_size=1, max_size=20)
sources = st.builds(
    ModelSource,
    uri=st.builds("{}://{}/{}".format, st.sampled_from(Scheme), words, words),
    digest=st.none() | st.text("0123456789abcdef", min_size=64, max_size=64).map("sha256:".__add__),
    format=st.sampled_from(ModelFormat),
    version=st.none() | words,
)
documents = st.builds(
    ServeDocument,
    name=words,
    namespace=words,
    revision=words,
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
def test_round_trip(document: ServeDocument) -> None:
    text = document.to_json()
    assert "\n" not in text
    assert ServeDocument.from_json(text) == document
    assert ServeDocument.from_json(text).to_json() == text


@pytest.mark.parametrize(
    ("uri", "location"),
    [
        ("file:///srv/m/model.onnx", "/srv/m/model.onnx"),
        ("pvc://claim/a/b", "/models/a/b"),
        ("https://host/a/b.tar.gz", "/models/package"),
    ],
)
def test_where_the_model_lies(uri: str, location: str) -> None:
    document = ServeDocument(name="m", model=ModelSource(uri=uri))
    assert document.location == PurePosixPath(location)


@pytest.mark.parametrize(
    "text",
    [
        "{}",
        '{"name": "m", "model": {"uri": "ftp://x/y"}}',
        '{"name": "m", "model": {"uri": "file:///x"}, "extra": 1}',
        '{"name": "m", "model": {"uri": "file:///x", "digest": "sha256:00"}}',
        '{"name": "m", "model": {"uri": "file:///x"}, "batching": {"maxSize": 0}}',
        '{"name": "m", "model": {"uri": "file:///x"}, "timeout": 30}',
    ],
)
def test_refused(text: str) -> None:
    with pytest.raises(ValidationError):
        ServeDocument.from_json(text)
