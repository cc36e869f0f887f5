"""The document that both halves share survives the way through the environment."""

from pathlib import PurePosixPath

import pytest
from pydantic import ValidationError

from modelfleet_contract import ModelSource, ServeDocument


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
        '{"name": "m", "model": {"uri": "file:///x"}, "feedback": ["a", "a"]}',
        '{"name": "m", "model": {"uri": "file:///x"}, "feedback": ["was clicked"]}',
        (
            '{"name": "m", "model": {"uri": "file:///x"}, "feedback": ["a"],'
            ' "values": [{"name": "a", "output": "y"}]}'
        ),
        '{"name": "m", "model": {"uri": "file:///x"}, "values": [{"name": "a"}]}',
    ],
)
def test_refused(text: str) -> None:
    with pytest.raises(ValidationError):
        ServeDocument.from_json(text)
