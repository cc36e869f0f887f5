"""What an archive is read as, and which are refused in one sentence."""

import io
import json
import tarfile
import zipfile
from collections.abc import Callable, Mapping
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from modelfleet_contract import FailureReason, ModelFormat
from modelfleet_runtime.errors import CannotServe
from modelfleet_runtime.packages import torchserve
from modelfleet_runtime.packages.find import find, look
from modelfleet_runtime.packages.package import Match, NoMatch, Package
from tests.unit.runtime.torchserve.archives import contents, tarred, unpacked, zipped

HANDLER = "def handle(data, context):\n    return data\n"
CONFIG = """
batchSize: 8
maxBatchDelay: 50
minWorkers: 2
jobQueueSize: 10
responseTimeout: 7
startupTimeout: 9
handler: {free: 1}
"""

Write = Callable[[Path, Mapping[str, bytes]], Path]
SHAPES: list[tuple[str, Write]] = [
    ("zip", lambda p, made: zipped(p / "a.mar", made)),
    ("tar.gz", lambda p, made: tarred(p / "a.mar", made)),
    ("folder", lambda p, made: unpacked(p / "a", made)),
    ("a folder with an archive", lambda p, made: zipped(p / "a" / "b.mar", made).parent),
]


@pytest.fixture(autouse=True)
def _unpacks_below(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "tmp").mkdir()
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path / "tmp"))


@pytest.mark.parametrize("write", [w for _, w in SHAPES], ids=[name for name, _ in SHAPES])
def test_every_shape_is_read_alike(write: Write, tmp_path: Path) -> None:
    package = find(write(tmp_path, contents(HANDLER, CONFIG, modelVersion="2.5")))
    assert package.format is ModelFormat.TORCHSERVE
    archive, wishes = package.archive, package.wishes
    assert archive is not None
    assert (archive.name, archive.version, archive.handler) == ("m", "2.5", "handler.py")
    assert archive.config["handler"] == {"free": 1}
    assert (package.folder / "handler.py").read_text() == HANDLER
    assert (wishes.batch_rows, wishes.batch_delay) == (8, timedelta(milliseconds=50))
    assert (wishes.workers, wishes.queue_size) == (2, 10)
    assert (wishes.run_seconds, wishes.start_seconds) == (7, 9)


def test_what_an_archive_does_not_say_is_as_the_original_has_it(tmp_path: Path) -> None:
    package = find(zipped(tmp_path / "a.mar", contents(HANDLER)))
    assert package.wishes.batch_rows == 1
    assert package.wishes.run_seconds == 120
    assert package.wishes.batch_delay is None


def test_an_archive_is_asked_before_what_it_holds(tmp_path: Path) -> None:
    files: dict[str, bytes | str] = {"model.py": "class A: pass", "model.pt": b""}
    package = find(unpacked(tmp_path / "a", contents(HANDLER, files=files)))
    assert package.format is ModelFormat.TORCHSERVE


def test_a_folder_with_nothing_but_its_manifest_is_one(tmp_path: Path) -> None:
    place = unpacked(tmp_path / "a", contents(""))
    (place / "handler.py").unlink()
    refused = refusal(place)
    assert "'handler.py', which the archive does not hold" in refused[1]


def test_two_archives_are_not_served_by_one_server(tmp_path: Path) -> None:
    zipped(tmp_path / "s" / "a.mar", contents(HANDLER))
    zipped(tmp_path / "s" / "b.mar", contents(HANDLER))
    verdict = dict(look(tmp_path / "s"))[ModelFormat.TORCHSERVE]
    assert isinstance(verdict, NoMatch)
    assert verdict.why == "there are 2 archives (a.mar, b.mar); one server serves one, name it"


def refusal(place: Path) -> tuple[FailureReason, str]:
    with pytest.raises(CannotServe) as refused:
        find(place)
    return refused.value.failure.reason, refused.value.failure.message


def model(**changes: Any) -> dict[str, bytes]:
    return contents(HANDLER, **changes)


def config(text: str) -> dict[str, bytes]:
    return contents(HANDLER, text)


def manifest(data: bytes) -> dict[str, bytes]:
    return contents(HANDLER) | {"MAR-INF/MANIFEST.json": data}


INVALID, UNSUPPORTED = FailureReason.MODEL_INVALID, FailureReason.UNSUPPORTED
WRONG: list[tuple[str, dict[str, bytes], FailureReason, str]] = [
    ("no manifest", {"a.py": b""}, INVALID, "has no MAR-INF/MANIFEST.json"),
    ("no JSON", manifest(b"{"), INVALID, "MANIFEST.json is not JSON"),
    ("a list", manifest(b"[]"), INVALID, "is not an object"),
    ("no model", manifest(b"{}"), INVALID, 'has no "model"'),
    ("a model that is text", manifest(b'{"model": "a"}'), INVALID, 'has no "model"'),
    ("no name", model(modelName=None), INVALID, "has no modelName"),
    ("no handler", model(handler=""), INVALID, "has no handler"),
    ("a handler of numbers", model(handler=3), INVALID, "handler is 3, not text"),
    ("another handler", model(handler="b.py"), INVALID, "the handler 'b.py', which the archive"),
    ("a handler outside", model(handler="..\\b"), INVALID, "leaves the folder"),
    ("no weights", model(serializedFile="w.pt"), INVALID, "the serializedFile 'w.pt', which"),
    ("weights outside", model(serializedFile="../w.pt"), INVALID, "leaves the folder"),
    ("weights from the root", model(serializedFile="/etc/passwd"), INVALID, "leaves the folder"),
    ("no model file", model(modelFile="m.py"), INVALID, "the modelFile 'm.py', which"),
    ("no configuration", model(configFile="c.yaml"), INVALID, "the configFile 'c.yaml', which"),
    ("Java", manifest(b'{"runtime": "java", "model": {}}'), UNSUPPORTED, "the runtime 'java'"),
    ("envelope", model(envelope="kserve"), UNSUPPORTED, "the service envelope 'kserve'"),
    ("texts", model(handler="text_classifier"), UNSUPPORTED, "torchtext, which has ended"),
    ("no YAML", config("a: ["), INVALID, "model-config.yaml is not YAML"),
    ("objects", config("a: !!python/object/new:os.system [x]"), INVALID, "is not YAML"),
    ("YAML of a list", config("[1]"), INVALID, "is not a mapping"),
    ("no batch", config("batchSize: 0"), INVALID, "batchSize is 0; write 1 to 4096"),
    ("a word", config("batchSize: many"), INVALID, "batchSize is many; write 1 to 4096"),
    ("half a batch", config("batchSize: 1.5"), INVALID, "batchSize is 1.5; write"),
    ("yes", config("batchSize: true"), INVALID, "batchSize is True; write"),
    ("no delay", config("maxBatchDelay: -1"), INVALID, "maxBatchDelay is -1; write 0 to"),
    ("streams", config("continuousBatching: true"), UNSUPPORTED, "sets continuousBatching"),
    ("sequences", config("sequenceBatching: true"), UNSUPPORTED, "sets sequenceBatching"),
    ("parallel", config("parallelType: tp"), UNSUPPORTED, "sets parallelType"),
    (
        "requirements",
        contents(
            HANDLER,
            files={"requirements.txt": "numpy\nno-such-thing==1.0\nnumpy<1"},
            requirementsFile="requirements.txt",
        ),
        UNSUPPORTED,
        "requirements.txt asks for no-such-thing==1.0, numpy<1, which this image does not have",
    ),
]  # fmt: skip


@pytest.mark.parametrize(
    ("made", "reason", "said"), [case[1:] for case in WRONG], ids=[case[0] for case in WRONG]
)
def test_refused(made: dict[str, bytes], reason: FailureReason, said: str, tmp_path: Path) -> None:
    told, message = refusal(zipped(tmp_path / "a.mar", made))
    assert told is reason, message
    assert said in message
    assert "\n" not in message
    assert not list((tmp_path / "tmp").iterdir()), "what was unpacked is gone"


def test_requirements_that_are_there(tmp_path: Path) -> None:
    text = "# ours\nnumpy>=1  # any\n\npydantic[email] >= 2\nwin32; sys_platform == 'win32'\n"
    made = contents(HANDLER, files={"requirements.txt": text}, requirementsFile="requirements.txt")
    assert find(zipped(tmp_path / "a.mar", made)).format is ModelFormat.TORCHSERVE


@pytest.mark.parametrize("name", ["../out", "/out", "a/../../out", "a\\..\\out"])
def test_a_path_that_leaves(name: str, tmp_path: Path) -> None:
    for write in (zipped, tarred):
        _, message = refusal(write(tmp_path / "a.mar", contents(HANDLER) | {name: b"x"}))
        assert "leaves the folder" in message
    assert not (tmp_path / "out").exists()
    assert not (tmp_path / "tmp" / "out").exists()


def test_a_link_is_refused(tmp_path: Path) -> None:
    file = tmp_path / "a.mar"
    with tarfile.open(file, "w:gz") as archive:
        info = tarfile.TarInfo("handler.py")
        info.type, info.linkname = tarfile.SYMTYPE, "/etc/passwd"
        archive.addfile(info)
    assert "is a link or a device" in refusal(file)[1]


def test_a_bomb_is_refused(tmp_path: Path) -> None:
    file = tmp_path / "a.mar"
    with zipfile.ZipFile(file, "w", zipfile.ZIP_DEFLATED) as archive, archive.open("w", "w") as out:
        for _ in range(100):
            out.write(bytes(1 << 20))
    assert "unpacks to more than" in refusal(file)[1]
    assert not list((tmp_path / "tmp").iterdir())


def whole_archive() -> bytes:
    out = io.BytesIO()
    with zipfile.ZipFile(out, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, data in contents(HANDLER, CONFIG).items():
            archive.writestr(name, data)
    return out.getvalue()


WHOLE = whole_archive()


def read(data: bytes, folder: Path) -> Package | None:
    file = folder / "a.mar"
    file.write_bytes(data)
    try:
        return torchserve.read(Match(file))
    except CannotServe:
        return None


@given(at=st.integers(0, len(WHOLE) - 1), byte=st.integers(0, 255), cut=st.booleans())
def test_a_damaged_archive_is_read_or_refused(
    at: int, byte: int, cut: bool, tmp_path_factory: pytest.TempPathFactory
) -> None:
    data = WHOLE[:at] if cut else WHOLE[:at] + bytes([byte]) + WHOLE[at + 1 :]
    read(data, tmp_path_factory.mktemp("damaged"))


KEYS = st.sampled_from(
    ["model", "runtime", "modelName", "handler", "serializedFile", "configFile", "envelope"]
) | st.text(max_size=5)
JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(max_size=8),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(KEYS, inner, max_size=4),
    max_leaves=8,
)


@given(told=JSON)
def test_any_manifest_is_read_or_refused(
    told: Any, tmp_path_factory: pytest.TempPathFactory
) -> None:
    folder = tmp_path_factory.mktemp("told")
    zipped(folder / "made.mar", manifest(json.dumps(told).encode()))
    read((folder / "made.mar").read_bytes(), folder)


SEGMENT = st.sampled_from(["..", ".", "a", "MAR-INF", "", "/", "\\", "~", "C:", "é", "x" * 300])


@given(parts=st.lists(SEGMENT, min_size=1, max_size=6))
def test_no_name_writes_outside(parts: list[str], tmp_path_factory: pytest.TempPathFactory) -> None:
    folder = tmp_path_factory.mktemp("names")
    (folder / "tmp").mkdir()
    name = "/".join(parts)
    if name.strip("/") == "":
        return
    zipped(folder / "made.mar", contents(HANDLER) | {name: b"x"})
    before = {p for p in folder.rglob("*") if "tmp" not in p.parts}
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("tempfile.tempdir", str(folder / "tmp"))
        read((folder / "made.mar").read_bytes(), folder)
    after = {p for p in folder.rglob("*") if "tmp" not in p.parts and p.name != "a.mar"}
    assert after == before
