"""Handlers in their process: what they are given, what becomes of what they give, how they fail."""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import orjson
import pytest

from modelfleet_contract import EngineSettings, FailureReason, Precision
from modelfleet_runtime import whole
from modelfleet_runtime.engines.engine import Engine, engine_for
from modelfleet_runtime.errors import (
    BadInput,
    CannotServe,
    EngineBroken,
    EngineCrashed,
    OutOfMemory,
)
from modelfleet_runtime.packages.find import find
from modelfleet_runtime.whole import Field, WholeAnswer, WholeRequest
from tests.unit.runtime.torchserve.archives import contents, probe, unpacked, zipped


@contextmanager
def loaded(place: Path, made: dict[str, bytes]) -> Iterator[Engine]:
    engine = engine_for(find(unpacked(place, made)), EngineSettings(), 1)
    try:
        assert engine.load() == whole.SIGNATURE
        engine.warm_up(4)
        yield engine
    finally:
        engine.close()


def request(body: bytes = b"x", kind: str = "", **headers: str) -> WholeRequest:
    told = {key.replace("_", "-"): value for key, value in headers.items()}
    return WholeRequest("id-1", told, (Field("body", kind, body),))


def ask(engine: Engine, *requests: WholeRequest) -> list[WholeAnswer]:
    batch = whole.column(whole.REQUEST, [one.row() for one in requests])
    return [whole.answer_of(row) for row in engine.run(batch)[whole.ANSWER].tolist()]


@pytest.fixture(scope="module")
def prober(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Engine]:
    with loaded(tmp_path_factory.mktemp("probe"), probe()) as engine:
        yield engine


def test_a_batch_comes_as_one_list_and_goes_as_one(prober: Engine) -> None:
    answers = ask(prober, *(request(str(n).encode(), "text/plain") for n in range(3)))
    assert [orjson.loads(answer.body)["body"] for answer in answers] == [
        ["str", repr(str(n))] for n in range(3)
    ]


def test_headers_are_found_in_any_case(prober: Engine) -> None:
    for name in ("x-a", "X-A"):
        (answer,) = ask(prober, request(x_do=f"header:{name}", x_a="b"))
        assert orjson.loads(answer.body) == {"value": "b"}


def test_status_and_headers_belong_to_their_request(prober: Engine) -> None:
    first, second = ask(prober, request(x_do="all-of-it:two"), request())
    assert (first.status, first.body, second.body) == (200, b"a", b"b")
    (told,) = ask(prober, request(x_do="status:418"))
    (after,) = ask(prober, request())
    assert (told.status, after.status) == (418, 200)


def test_the_context_is_the_originals(prober: Engine) -> None:
    (answer,) = ask(prober, request(x_do="about"))
    assert orjson.loads(answer.body) == {
        "name": "probe",
        "id": "str",
        "properties": sorted(
            ("model_dir", "gpu_id", "batch_size", "server_name", "server_version",
             "limit_max_image_pixels")
        ),
        "batch": 1, "server": "MMS", "pixels": True, "dir": True, "manifest": "probe",
        "config": {"a": 1}, "all": True,
    }  # fmt: skip


FAILED: list[tuple[str, int, str]] = [
    ("fail:value", 503, "Prediction failed"),
    ("fail:prediction", 404, "no such thing"),
    ("fail:prediction-default", 500, "it broke"),
    ("fail:memory", 507, "Out of resources"),
    ("fail:cuda", 507, "Out of resources"),
    ("all-of-it:none", 503, "Invalid model predict output"),
    ("all-of-it:dict", 503, "Invalid model predict output"),
    ("all-of-it:two", 503, "number of batch response mismatched"),
    ("all-of-it:empty", 503, "number of batch response mismatched"),
    ("give:set", 503, "Unsupported model output data type."),
    ("end:sys", 500, "Worker died."),
    ("status:99", 503, "Prediction failed"),
]


@pytest.mark.parametrize(("do", "status", "said"), FAILED, ids=[case[0] for case in FAILED])
def test_who_stands_alone_hears_the_originals_answer(
    do: str, status: int, said: str, prober: Engine
) -> None:
    (answer,) = ask(prober, request(x_do=do))
    assert (answer.status, answer.failure, answer.body) == (status, said, b"")
    assert ask(prober, request())[0].status == 200, "and the next one is served"


@pytest.mark.parametrize(
    ("do", "kind"), [("fail:value", EngineBroken), ("fail:memory", OutOfMemory)]
)
def test_a_batch_that_fails_is_to_be_run_in_parts(
    do: str, kind: type[Exception], prober: Engine
) -> None:
    with pytest.raises(kind):
        ask(prober, request(x_do=do), request())


def test_tensors_of_another_protocol_are_refused(prober: Engine) -> None:
    with pytest.raises(BadInput, match="whole requests, not tensors"):
        prober.run(whole.column(whole.REQUEST, [b"abc"]))


def test_a_handler_that_ends_its_process_costs_its_own_request(tmp_path: Path) -> None:
    with loaded(tmp_path / "a", probe()) as engine:
        with pytest.raises(EngineCrashed, match="ended with the code 3"):
            ask(engine, request(x_do="end:hard"))
        assert ask(engine, request())[0].status == 200


def test_a_handler_that_blocks_is_ended(tmp_path: Path) -> None:
    made = contents(probe()["handler.py"].decode(), "responseTimeout: 1")
    with loaded(tmp_path / "a", made) as engine:
        with pytest.raises(EngineCrashed, match="gave no answer for 1 s"):
            ask(engine, request(x_do="block:600"))
        assert ask(engine, request())[0].status == 200


MEASURING = """
from ts.metrics.dimension import Dimension
from ts.metrics.metric_type_enum import MetricTypes


class Handler:
    def initialize(self, context):
        self.rows = context.metrics.add_metric_to_cache("Rows", "count", ["a"])

    def handle(self, data, context):
        self.rows.add_or_update(len(data), ["b"])
        context.metrics.add_counter("Seen", 2)
        context.metrics.add_size("Size", 3, dimensions=[Dimension("c", 4)])
        context.metrics.add_metric("Spread", 5, "ms", metric_type=MetricTypes.HISTOGRAM)
        return ["ok"] * len(data)
"""


def test_what_a_handler_measures_comes_with_the_answer(tmp_path: Path) -> None:
    with loaded(tmp_path / "a", contents(MEASURING)) as engine:
        first, second = ask(engine, request(), request())
    found = {one.name: (one.kind, one.value, dict(one.labels)) for one in first.measures}
    level = {"ModelName": "m", "Level": "Model"}
    assert found.pop("PredictionTime")[0] == "gauge"
    assert found == {
        "Rows": ("counter", 2, {"a": "b"}),
        "Seen": ("counter", 2, level),
        "Size": ("gauge", 3, level | {"c": "4"}),
        "Spread": ("histogram", 5, level),
    }
    assert second.measures == ()


ENVELOPED = """
class Handler:
    def initialize(self, context):
        pass

    def handle(self, data, context):
        return [repr(item) for item in data]
"""


def test_the_json_envelope_takes_instances_apart(tmp_path: Path) -> None:
    bodies = (b'{"instances": [1, {"b64": "YQ=="}]}', b'{"instances": [{"k": {"b64": "Yg=="}}]}')
    with loaded(tmp_path / "a", contents(ENVELOPED, envelope="json")) as engine:
        answers = ask(engine, *(request(body, "application/json") for body in bodies))
    assert [orjson.loads(answer.body) for answer in answers] == [
        {"predictions": ["1", "b'a'"]},
        {"predictions": ["{'k': b'b'}"]},
    ]


def test_the_body_envelope_gives_the_body_alone(tmp_path: Path) -> None:
    with loaded(tmp_path / "a", contents(ENVELOPED, envelope="body")) as engine:
        (answer,) = ask(engine, request(b"[1]", "application/json"))
    assert answer.body == b"[1]"


NAMED = """
told = []


def serve(data, context):
    if data is None:
        told.append("loaded")
        return None
    return [{"told": told}] * len(data)
"""


def test_a_function_is_called_with_none_first(tmp_path: Path) -> None:
    made = contents(NAMED) | contents(NAMED, handler="handler.py:serve")
    with loaded(tmp_path / "a", made) as engine:
        (answer,) = ask(engine, request())
    assert orjson.loads(answer.body) == {"told": ["loaded"]}


BESIDE = """
import beside


class Handler:
    def initialize(self, context):
        self.text = open("text.txt").read()

    def handle(self, data, context):
        return [beside.NAME + self.text] * len(data)
"""


def test_modules_and_files_beside_the_handler(tmp_path: Path) -> None:
    made = contents(BESIDE, files={"beside.py": "NAME = 'b'", "text.txt": "t"})
    with loaded(tmp_path / "a", made) as engine:
        assert ask(engine, request())[0].body == b"bt"


def of_class(initialize: str = "pass", before: str = "") -> str:
    return (
        f"{before}\nclass Handler:\n"
        f"    def initialize(self, context):\n        {initialize}\n"
        "    def handle(self, data, context):\n        return data\n"
    )


INVALID, UNSUPPORTED = FailureReason.MODEL_INVALID, FailureReason.UNSUPPORTED
BROKEN: list[tuple[str, str, FailureReason, str]] = [
    ("syntax", "def handle(", INVALID, "handler.py cannot be imported: SyntaxError"),
    ("raises at import", "1 / 0", INVALID, "handler.py cannot be imported: ZeroDivisionError"),
    ("exits at import", "raise SystemExit(3)", INVALID, "cannot be imported: SystemExit: 3"),
    (
        "ends at import", "import os; os._exit(3)", FailureReason.CRASHED,
        "ended with the code 3 while it loaded the model",
    ),
    ("imports what is not there", "import no_such_thing", UNSUPPORTED, "imports no_such_thing,"),
    (
        "imports what is not served", "import ts.handler_utils.micro_batching", UNSUPPORTED,
        "imports ts.handler_utils.micro_batching of TorchServe's library, which is not served yet",
    ),
    ("nothing in it", "a = 1", INVALID, "and it defines the classes none"),
    ("two classes", "class A: pass\nclass B: pass", INVALID, "it defines the classes A, B"),
    ("no handle", "class A: pass", INVALID, "handler.py: A has no method handle"),
    (
        "raises at load", of_class("raise ValueError('no weights')"), INVALID,
        "handler.py: initialize failed: ValueError: no weights",
    ),
    ("exits at load", of_class("raise SystemExit(3)"), INVALID, "initialize failed: SystemExit"),
    (
        "no memory at load", of_class("raise MemoryError"), FailureReason.OUT_OF_MEMORY,
        "not enough memory",
    ),
    (
        "a function that raises", "def handle(data, context):\n    raise KeyError('w')", INVALID,
        "handler.py: handle(None, context) failed: KeyError: 'w'",
    ),
]  # fmt: skip


@pytest.mark.parametrize(
    ("handler", "reason", "said"), [case[1:] for case in BROKEN], ids=[case[0] for case in BROKEN]
)
def test_a_handler_that_cannot_be_loaded_says_why(
    handler: str, reason: FailureReason, said: str, tmp_path: Path
) -> None:
    engine = engine_for(find(unpacked(tmp_path / "a", contents(handler))), EngineSettings(), 1)
    with pytest.raises(CannotServe) as refused:
        engine.load()
    assert refused.value.failure.reason is reason, refused.value.failure.message
    assert said in refused.value.failure.message


def test_a_load_that_blocks_is_ended(tmp_path: Path) -> None:
    made = contents(of_class("import time; time.sleep(600)"), "startupTimeout: 2")
    engine = engine_for(find(unpacked(tmp_path / "a", made)), EngineSettings(), 1)
    with pytest.raises(CannotServe, match="gave no answer for 2 s"):
        engine.load()


def test_what_was_unpacked_goes_with_the_engine(tmp_path: Path) -> None:
    package = find(zipped(tmp_path / "a.mar", contents(of_class())))
    engine = engine_for(package, EngineSettings(), 1)
    engine.load()
    assert package.folder.is_dir()
    engine.close()
    assert not package.folder.exists()


WORKERS: list[tuple[str | None, int, int]] = [
    (None, 1, 1),
    ("minWorkers: 3", 1, 3),
    ("minWorkers: 3", 2, 2),
]


@pytest.mark.parametrize(("config", "asked", "slots"), WORKERS)
def test_workers(config: str | None, asked: int, slots: int, tmp_path: Path) -> None:
    package = find(unpacked(tmp_path / "a", contents(of_class(), config)))
    engine = engine_for(package, EngineSettings(workers=asked), 4)
    assert engine.slots == slots


def test_settings_without_effect_are_refused(tmp_path: Path) -> None:
    package = find(unpacked(tmp_path / "a", contents(of_class())))
    for settings in (EngineSettings(compile=True), EngineSettings(precision=Precision.FLOAT16)):
        with pytest.raises(CannotServe, match="no effect on a model of format torchserve"):
            engine_for(package, settings, 1)
