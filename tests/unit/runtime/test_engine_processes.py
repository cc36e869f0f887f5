"""A model in processes of its own: what they answer, how they fail, how they end."""

import logging
import os
import signal
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as arrays

from modelfleet_contract import EngineSettings, FailureReason
from modelfleet_runtime.batching.scatter import run_batch
from modelfleet_runtime.engines import frames, processes
from modelfleet_runtime.engines.engine import engine_for
from modelfleet_runtime.engines.processes import ProcessesEngine, waiting_time
from modelfleet_runtime.errors import (
    BadInput,
    CannotServe,
    EngineBroken,
    EngineCrashed,
    EngineDead,
    OutOfMemory,
)
from modelfleet_runtime.packages.find import find
from modelfleet_runtime.signature import Tensors
from tests.unit.runtime.builders import entry, linear_onnx, python_model, rows

MODEL = """
import ctypes, logging, os, signal, sys
import numpy as np

class Model:
    inputs = {"x": ("FP32", [-1, 4])}
    outputs = {"y": ("FP32", [-1, 1])}

    def predict(self, inputs):
        x = inputs["x"]
        what = x[0, 0]
        if what == 1:
            raise ValueError("ones are refused")
        if what == 2:
            raise MemoryError
        if what == 3:
            raise KeyError("three")
        if what == 4:
            os.kill(os.getpid(), signal.SIGSEGV)
        if what == 5:
            print("printed by the model")
            logging.getLogger("author").warning("logged by the model")
        if what == 6:
            os._exit(9)
        if what == 7:
            return np.full((len(x), 1), os.getpid(), np.float64)
        return x.sum(1, keepdims=True)

    def preprocess(self, item):
        if item == "bad":
            raise ValueError("bad item")
        return np.full((1, 4), float(item), np.float32)

    def postprocess(self, outputs):
        return {"sum": float(outputs["y"][0, 0]), "pid": os.getpid()}
"""


@pytest.fixture
def make(tmp_path: Path) -> Iterator[Callable[..., ProcessesEngine]]:
    made: list[ProcessesEngine] = []

    def start(source: str = MODEL, workers: int = 2, rows_: int = 4) -> ProcessesEngine:
        package = find(python_model(tmp_path, source))
        engine = engine_for(package, EngineSettings(workers=workers), 2)
        assert isinstance(engine, ProcessesEngine)
        made.append(engine)
        engine.load()
        engine.warm_up(rows_)
        return engine

    yield start
    for engine in made:
        engine.close()


def pids(engine: ProcessesEngine) -> set[int]:
    return {process.pid for process in engine._all}


def test_answers_and_hooks_come_from_other_processes(make: Callable[..., ProcessesEngine]) -> None:
    engine = make()
    assert engine.slots == 2
    np.testing.assert_array_equal(engine.run(rows(0, 8))["y"], [[0], [32]])
    assert engine.preprocess is not None
    assert engine.postprocess is not None
    item = engine.preprocess(3)
    np.testing.assert_array_equal(item["input" if "input" in item else "x"], rows(3)["x"])
    told = engine.postprocess({"y": np.array([[2.5]], np.float32)})
    assert told["sum"] == 2.5
    assert told["pid"] in pids(engine)
    with pytest.raises(BadInput, match="bad item"):
        engine.preprocess("bad")


@pytest.mark.parametrize(
    ("value", "kind", "says"),
    [
        (1, BadInput, "the model refuses the input: ones are refused"),
        (2, OutOfMemory, "no memory"),
        (3, EngineBroken, "the model's predict failed: KeyError: 'three'"),
    ],
)
def test_what_the_code_raises_keeps_its_meaning(
    make: Callable[..., ProcessesEngine], value: int, kind: type[Exception], says: str
) -> None:
    engine = make(workers=2)
    before = pids(engine)
    with pytest.raises(kind, match=says):
        engine.run(rows(value))
    assert pids(engine) == before


@pytest.mark.parametrize(
    ("value", "how"), [(4, "was killed by SIGSEGV"), (6, "ended with the code 9")]
)
def test_a_process_that_dies_fails_its_batch_and_comes_back(
    make: Callable[..., ProcessesEngine], value: int, how: str
) -> None:
    engine = make()
    for _ in range(2):
        with pytest.raises(EngineBroken, match=how):
            engine.run(rows(value))
    for _ in range(8):
        np.testing.assert_array_equal(engine.run(rows(8))["y"], [[32]])
    both = {engine._take(), engine._take()}  # the second one has to have come back
    assert {process.pid for process in both} == pids(engine)
    for process in both:
        engine._back(process)


def test_a_request_that_kills_its_process_costs_two_of_them(
    make: Callable[..., ProcessesEngine], caplog: pytest.LogCaptureFixture
) -> None:
    engine = make()
    members = [entry(rows(value)) for value in (4, 8, 8, 8)]
    outcome = run_batch(engine.run, [member.cut(1) for member in members])
    crashed = [isinstance(answer, EngineCrashed) for answer in outcome.answers]
    assert crashed == [True, True, False, False]
    assert caplog.text.count("is started again") == 2


def test_one_that_died_idle_costs_no_batch(make: Callable[..., ProcessesEngine]) -> None:
    engine = make()
    for process in list(engine._all):
        os.kill(process.pid, signal.SIGKILL)
        process._popen.wait()
    np.testing.assert_array_equal(engine.run(rows(8))["y"], [[32]])


def test_as_many_runs_as_processes_go_at_once(make: Callable[..., ProcessesEngine]) -> None:
    source = MODEL.replace(
        "        what = x[0, 0]\n",
        "        what = x[0, 0]\n"
        "        if what == 10:\n"
        "            import pathlib, time\n"
        "            here = pathlib.Path(__file__).parent\n"
        "            (here / f'{os.getpid()}.here').touch()\n"
        "            while len(list(here.glob('*.here'))) < 2:\n"
        "                time.sleep(0.005)\n",
    )
    engine = make(source)
    threads = [threading.Thread(target=engine.run, args=(rows(10),)) for _ in range(2)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(20)
        assert not thread.is_alive()


def test_when_all_are_gone_for_good_the_engine_is_dead(
    make: Callable[..., ProcessesEngine], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(processes, "FIRST_WAIT_S", 0.0)
    engine = make()
    (tmp_path / "model.py").write_text("raise RuntimeError('no more')\n")
    for _ in range(2):
        with pytest.raises(EngineBroken):
            engine.run(rows(4))
    with pytest.raises(EngineDead, match="all 2 processes"):
        engine.run(rows(0))
    with pytest.raises(EngineDead):
        engine.run(rows(0))


def test_what_a_process_prints_and_logs_is_in_our_log(
    make: Callable[..., ProcessesEngine], caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.INFO)
    engine = make()
    engine.run(rows(5))
    engine.close()  # the last lines come with the end
    wait_for(lambda: "logged by the model" in caplog.text and "printed by the model" in caplog.text)
    record = next(r for r in caplog.records if r.name == "author")
    assert record.levelname == "WARNING"
    assert isinstance(vars(record)["process_id"], int)


@pytest.mark.parametrize(
    ("source", "reason", "says"),
    [
        ("import os\nos._exit(3)\nclass Model: ...", FailureReason.CRASHED, "with the code 3"),
        (
            "import os\nos.kill(os.getpid(), 9)\nclass Model: ...",
            FailureReason.OUT_OF_MEMORY,
            "was killed by SIGKILL",
        ),
        ("import sys\nsys.exit(3)\nclass Model: ...", FailureReason.MODEL_INVALID, "SystemExit"),
        ("import no_such\nclass Model: ...", FailureReason.UNSUPPORTED, "imports no_such"),
        (
            """class Model:
                def load(self, folder): raise ValueError("no weights")
                def predict(self, x): return x""",
            FailureReason.MODEL_INVALID,
            "no weights",
        ),
        (
            """class Model:
                inputs = {"x": ("FP32", [-1, 4])}
                outputs = {"y": ("FP32", [-1, 4])}
                def predict(self, x): return 1 / 0""",
            FailureReason.WARM_UP_FAILED,
            "division by zero",
        ),
    ],
)
def test_a_model_that_cannot_be_loaded_says_the_same_as_in_one_process(
    make: Callable[..., ProcessesEngine], source: str, reason: FailureReason, says: str
) -> None:
    with pytest.raises(CannotServe, match=says) as caught:
        make(source)
    assert caught.value.failure.reason is reason


def test_none_is_left_after_close(make: Callable[..., ProcessesEngine]) -> None:
    engine = make()
    numbers = pids(engine)
    engine.close()
    assert not [pid for pid in numbers if alive(pid)]


def test_none_outlives_the_server(tmp_path: Path) -> None:
    """Not even one that is busy, when the server is killed."""
    source = MODEL.replace("what = x[0, 0]\n", "what = x[0, 0]\n        while what == 11: pass\n")
    python_model(tmp_path, source)
    script = (
        "import sys, threading\nfrom pathlib import Path\n"
        "from modelfleet_contract import EngineSettings\n"
        "from modelfleet_runtime.engines.engine import engine_for\n"
        "from modelfleet_runtime.packages.find import find\n"
        "from tests.unit.runtime.builders import rows\n"
        "engine = engine_for(find(Path(sys.argv[1])), EngineSettings(workers=2), 2)\n"
        "engine.load(); engine.warm_up(1)\n"
        "threading.Thread(target=engine.run, args=(rows(11),), daemon=True).start()\n"
        "print(*[p.pid for p in engine._all], flush=True)\n"
        "threading.Event().wait()\n"
    )
    server = subprocess.Popen(
        [sys.executable, "-c", script, str(tmp_path)], stdout=subprocess.PIPE, text=True
    )
    assert server.stdout is not None
    numbers = [int(word) for word in server.stdout.readline().split()]
    assert len(numbers) == 2
    server.kill()
    server.wait()
    server.stdout.close()
    wait_for(lambda: not any(alive(pid) for pid in numbers))


def test_onnx_too(tmp_path: Path) -> None:
    linear_onnx(tmp_path)
    engine = engine_for(find(tmp_path), EngineSettings(workers=2), 2)
    try:
        alone = engine_for(find(tmp_path), EngineSettings(), 1)
        assert engine.load() == alone.load()
        assert engine.warm_up(8) == alone.warm_up(8)
        np.testing.assert_array_equal(engine.run(rows(1, 2))["y"], alone.run(rows(1, 2))["y"])
    finally:
        engine.close()


def test_waits_between_starts_double_up_to_a_bound() -> None:
    waits = [waiting_time(deaths) for deaths in range(200)]
    assert waits[:4] == [0, 0.1, 0.2, 0.4]
    assert waits == sorted(waits)
    assert waits[-1] == processes.LONGEST_WAIT_S


# -- frames


numbers = arrays.arrays(
    st.sampled_from(["?", "u1", "<u2", "<i8", "<f2", "<f4", "<f8"]),
    arrays.array_shapes(min_dims=0, max_dims=3, min_side=0, max_side=5),
)
texts = st.lists(st.binary(max_size=9), max_size=5).map(
    lambda items: np.array([*items, None], object)[:-1]
)


@given(st.dictionaries(st.text(max_size=8), numbers | texts, max_size=4))
def test_what_is_sent_is_what_comes(tensors: Tensors) -> None:
    ours, theirs = socket.socketpair()
    with ours, theirs:
        frames.send(ours, {"do": "run"}, tensors)
        head, got = frames.receive(theirs)
    assert head == {"do": "run"}
    assert got.keys() == tensors.keys()
    for name, array in tensors.items():
        assert got[name].dtype == array.dtype
        assert got[name].shape == array.shape
        assert got[name].flags.writeable or array.size == 0 or array.dtype.kind == "O"
        assert got[name].tobytes() == array.tobytes() or array.dtype.kind == "O"
        assert array.dtype.kind != "O" or got[name].tolist() == array.tolist()


def test_a_large_message_is_sent_without_being_joined() -> None:
    ours, theirs = socket.socketpair()
    sent = {"a": np.arange(1 << 20, dtype=np.int32), "b": np.ones((3, 5), np.float64).T}
    with ours, theirs:
        sender = threading.Thread(target=frames.send, args=(ours, {}, sent))
        sender.start()
        _, got = frames.receive(theirs)
        sender.join()
    for name, array in sent.items():
        np.testing.assert_array_equal(got[name], array)


@pytest.mark.parametrize("data", [b"\xff" * 16, b"\x02" + b"\0" * 15 + b"[]"])
def test_nonsense_is_no_frame(data: bytes) -> None:
    ours, theirs = socket.socketpair()
    with ours, theirs:
        ours.sendall(data)
        with pytest.raises((frames.BadFrame, AttributeError, TypeError)):
            frames.receive(theirs)


def alive(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    state = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0]
    return state != "Z"


def wait_for(true: Callable[[], Any], seconds: float = 20) -> None:
    last = time.monotonic() + seconds
    while not true():
        assert time.monotonic() < last
        time.sleep(0.01)
