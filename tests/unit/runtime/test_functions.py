"""Functions of other servers' packages: what they do to their process does not end ours."""

# ruff: noqa: E501  (a case a line: a table is read by its columns)

import io
import subprocess
import sys
import tarfile
from collections.abc import Callable, Iterator
from pathlib import Path

import httpx
import pytest

from modelfleet_contract import Device, EngineSettings, FailureReason, ModelFormat
from modelfleet_runtime import raw
from modelfleet_runtime.engines.engine import engine_for
from modelfleet_runtime.errors import BadInput, CannotServe
from modelfleet_runtime.packages.find import find
from modelfleet_runtime.raw import RawAnswer, RawRequest
from modelfleet_runtime.sources.opened import opened
from tests.unit.runtime.contracts.record import HERE
from tests.unit.runtime.processes import client, runtime

PACKAGES = HERE / "packages"
SCORE = "def init():\n    pass\n\n\ndef run(data):\n    return data\n"
STEPS = "def model_fn(folder):\n    return 1\n"
PREDICTOR = (
    "from google.cloud.aiplatform.prediction.predictor import Predictor\n"
    "class P(Predictor):\n"
    "    def load(self, uri):\n        pass\n"
    "    def predict(self, instances):\n        return instances\n"
)


def written(folder: Path, files: dict[str, str]) -> Path:
    for name, text in files.items():
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_text(text)
    return folder


def refusal(of: Callable[[], object]) -> tuple[FailureReason, str]:
    with pytest.raises(CannotServe) as caught:
        of()
    return caught.value.failure.reason, caught.value.failure.message


def test_requests_and_answers_survive_the_way_through_tensors() -> None:
    request = RawRequest("PUT", "/ü", "a=%20", {"x": "\u00ff"}, bytes(range(256)))
    assert raw.request_of(raw.request_tensors(request)) == request
    answer = RawAnswer(201, (("a", "1"), ("a", "2")), b"")
    assert raw.answer_of(raw.answer_tensors(answer)) == answer


def test_tensors_of_another_protocol_are_refused() -> None:
    with pytest.raises(BadInput, match="its own protocol"):
        raw.request_of({"x": raw.request_tensors(RawRequest("", "", "", {}, b""))["body"]})


# -- which package it is

FOUND: list[tuple[dict[str, str], ModelFormat, str]] = [
    ({"code/inference.py": STEPS}, ModelFormat.SAGEMAKER, "code/inference.py"),
    ({"code/inference.py": STEPS, "model.pt": ""}, ModelFormat.SAGEMAKER, "code/inference.py"),
    ({"score.py": SCORE}, ModelFormat.AZUREML, "score.py"),
    ({"main.py": SCORE, "model.onnx": ""}, ModelFormat.AZUREML, "main.py"),
    ({"code/score.py": SCORE, "model/x": ""}, ModelFormat.AZUREML, "code/score.py"),
    ({"predictor.py": PREDICTOR}, ModelFormat.VERTEX, "predictor.py"),
    ({"src/predictor.py": PREDICTOR, "model.bst": ""}, ModelFormat.VERTEX, "src/predictor.py"),
]


@pytest.mark.parametrize(("files", "fmt", "main"), FOUND)
def test_found_by_looking(
    files: dict[str, str], fmt: ModelFormat, main: str, tmp_path: Path
) -> None:
    package = find(written(tmp_path, files))
    assert (package.format, str(package.main.relative_to(tmp_path))) == (fmt, main)
    assert package.folder == tmp_path


def test_two_kinds_of_code_are_a_question(tmp_path: Path) -> None:
    folder = written(tmp_path, {"code/inference.py": STEPS, "score.py": SCORE})
    reason, message = refusal(lambda: find(folder))
    assert reason is FailureReason.MODEL_INVALID
    assert "sagemaker (code/inference.py) or azureml (score.py); name its format" in message
    assert find(folder, ModelFormat.AZUREML).format is ModelFormat.AZUREML


INCOMPLETE: list[tuple[dict[str, str], str]] = [
    ({"score.py": "def init(): pass"}, r"does not define run\(\)"),
    ({"score.py": "def init(:"}, "not valid Python, line 1"),
    ({"code/inference.py": "def transform_fn(): 1\ndef input_fn(): 1"}, "transform_fn and input_fn"),
    ({"predictor.py": "x = 1"}, "no class of the kind Predictor"),
    ({"predictor.py": PREDICTOR + PREDICTOR.replace("P(", "Q(")}, "several classes"),
]  # fmt: skip


@pytest.mark.parametrize(("files", "words"), INCOMPLETE)
def test_incomplete_packages_are_refused_without_running_them(
    files: dict[str, str], words: str, tmp_path: Path
) -> None:
    with pytest.raises(CannotServe, match=words):
        find(written(tmp_path, files))


def test_routes_that_probes_need_are_kept(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("AIP_PREDICT_ROUTE", "/health/ready")
    with pytest.raises(CannotServe, match="AIP_PREDICT_ROUTE is '/health/ready'"):
        find(written(tmp_path, {"predictor.py": PREDICTOR}))


def test_azure_models_where_azure_mounts_them(tmp_path: Path) -> None:
    one = {"score.py": SCORE, "azureml-models/m/3/model/weights": ""}
    package = find(written(tmp_path, one))
    assert package.environment["AZUREML_MODEL_DIR"] == str(tmp_path / "azureml-models/m/3")
    written(tmp_path, {"azureml-models/n/1/weights": ""})
    package = find(tmp_path)
    assert package.environment["AZUREML_MODEL_DIR"] == str(tmp_path / "azureml-models")


# -- loading

UNLOADABLE: list[tuple[dict[str, str], FailureReason, str]] = [
    ({"score.py": "import nowhere\n" + SCORE}, FailureReason.UNSUPPORTED, "imports nowhere, which"),
    ({"score.py": "1 / 0\n" + SCORE}, FailureReason.MODEL_INVALID, "cannot be imported: ZeroDiv"),
    ({"score.py": "import sys\nsys.exit(3)\n" + SCORE}, FailureReason.MODEL_INVALID, "SystemExit"),
    ({"score.py": SCORE.replace("pass", "1 / 0")}, FailureReason.MODEL_INVALID, r"init\(\) failed"),
    ({"score.py": "import os\nos._exit(3)\n" + SCORE}, FailureReason.CRASHED, "code 3 while"),
    ({"score.py": SCORE.replace("data)", "*data)")}, FailureReason.MODEL_INVALID, "positional"),
    ({"code/inference.py": "def predict_fn(d, m): 1"}, FailureReason.MODEL_INVALID, "model_fn"),
    ({"predictor.py": PREDICTOR.replace("pass", "open(uri + '/no')")}, FailureReason.MODEL_INVALID, "No such file"),
]  # fmt: skip


@pytest.mark.parametrize(("files", "reason", "words"), UNLOADABLE)
def test_what_fails_at_the_start_says_why(
    files: dict[str, str], reason: FailureReason, words: str, tmp_path: Path
) -> None:
    engine = engine_for(find(written(tmp_path, files)), EngineSettings(), 1)
    try:
        with pytest.raises(CannotServe, match=words) as caught:
            engine.load()
    finally:
        engine.close()
    assert caught.value.failure.reason is reason


def test_settings_without_effect_are_refused(tmp_path: Path) -> None:
    package = find(written(tmp_path, {"score.py": SCORE}))
    settings = EngineSettings(device=Device.CPU)
    assert refusal(lambda: engine_for(package, settings, 1))[0] is FailureReason.UNSUPPORTED


# -- serving


@pytest.fixture(scope="module")
def plain(tmp_path_factory: pytest.TempPathFactory) -> Iterator[httpx.Client]:
    folder = tmp_path_factory.mktemp("plain")
    package = str(PACKAGES / "azureml" / "plain")
    with runtime(folder, package, "--timeout", "2s") as started:
        with client(started.ready().url) as asking:
            yield asking


def answers_again(plain: httpx.Client) -> None:
    """Until its process is started anew, requests run out of time, as they are told."""
    while (answer := plain.post("/score", json=[1])).status_code == 504:
        pass
    assert answer.json() == {"got": [1]}


def test_the_end_of_a_process_is_told_in_the_protocols_words(plain: httpx.Client) -> None:
    answer = plain.post("/score", json={"do": "die"})
    assert answer.status_code == 500
    told = "the model's process ended with the code 7 while it had this batch"
    assert answer.json() == {"message": told}
    answers_again(plain)


def test_sys_exit_is_a_failure_of_the_script(plain: httpx.Client) -> None:
    answer = plain.post("/score", json={"do": "exit"})
    assert (answer.status_code, answer.headers["x-ms-run-function-failed"]) == (500, "True")
    answers_again(plain)


def test_a_run_that_does_not_end_is_ended(plain: httpx.Client) -> None:
    answer = plain.post("/score", json={"do": "sleep"})  # for 5 s, and 2 are allowed
    assert answer.status_code == 504
    assert answer.json() == {"message": "the request's time is over"}
    answers_again(plain)


def test_tensor_protocols_say_that_this_is_no_model_for_them(plain: httpx.Client) -> None:
    answer = plain.post("/predict", json={"inputs": {"x": [1]}})
    assert (answer.status_code, "its own protocol" in answer.json()["error"]) == (400, True)


def test_the_probes_are_ours(plain: httpx.Client) -> None:
    assert plain.get("/health/ready").json() == {"status": "ready"}
    assert "inference_requests_total" in plain.get("/metrics").text


# -- archives on this machine


def _tar(file: Path, entries: dict[str, bytes]) -> Path:
    with tarfile.open(file, "w:gz") as tar:
        for name, data in entries.items():
            info = tarfile.TarInfo(name)
            info.size = len(data)
            tar.addfile(info, io.BytesIO(data))
    return file


def test_an_archive_is_unpacked_once(tmp_path: Path) -> None:
    archive = _tar(tmp_path / "model.tar.gz", {"code/inference.py": STEPS.encode()})
    folder = opened(archive, tmp_path / "cache")
    assert find(folder).format is ModelFormat.SAGEMAKER
    (folder / "mark").write_text("still here")
    assert (opened(archive, tmp_path / "cache") / "mark").exists()


def test_an_archives_digest_is_proved(tmp_path: Path) -> None:
    archive = _tar(tmp_path / "model.tar.gz", {"a": b""})
    wrong = "sha256:" + "0" * 64
    reason, _ = refusal(lambda: opened(archive, tmp_path / "cache", wrong))
    assert reason is FailureReason.DIGEST_MISMATCH


@pytest.mark.parametrize("name", ["../out", "/out", "code/../../out"])
def test_an_archive_that_leaves_its_folder_is_refused(name: str, tmp_path: Path) -> None:
    archive = _tar(tmp_path / "model.tar.gz", {"code/inference.py": b"", name: b"x"})
    reason, message = refusal(lambda: opened(archive, tmp_path / "cache"))
    assert reason is FailureReason.MODEL_INVALID
    assert "leaves the folder" in message
    assert not list((tmp_path / "cache").glob("*/package"))
    assert not (tmp_path / "cache" / "out").exists()


# -- inspect


def _inspect(*arguments: str) -> tuple[int, str, str]:
    done = subprocess.run(
        [sys.executable, "-m", "modelfleet_runtime", "inspect", *arguments],
        capture_output=True,
        text=True,
    )
    return done.returncode, done.stdout, done.stderr


def test_inspect_says_what_would_be_served_and_runs_nothing(tmp_path: Path) -> None:
    ran = tmp_path / "ran"
    code = f"open({str(ran)!r}, 'w')\n" + STEPS
    rc, out, _ = _inspect(str(written(tmp_path / "p", {"code/inference.py": code})))
    assert rc == 0
    assert "served as sagemaker" in out
    assert "POST /invocations, GET /ping, GET /execution-parameters" in out
    assert f"SM_MODEL_DIR={tmp_path / 'p'}" in out
    assert not ran.exists()


def test_inspect_says_what_is_not_supported(tmp_path: Path) -> None:
    files = {
        "score.py": "import nowhere\n" + SCORE,
        "requirements.txt": "no-such-thing>=1\nnumpy\n",
    }
    rc, out, err = _inspect(str(written(tmp_path, files)))
    assert rc == 17
    assert "not supported: score.py imports nowhere" in out
    assert "not supported: requirements.txt asks for no-such-thing" in out
    assert "numpy" not in out
    assert "imports nowhere" in err
