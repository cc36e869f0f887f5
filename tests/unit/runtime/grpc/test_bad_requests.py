"""Malformed calls: each has its status within a second, and a good request is answered after it."""

import asyncio
import math
import struct
from collections.abc import Callable
from typing import Any

import grpc
import pytest

from modelfleet_runtime.limits import RequestLimits
from modelfleet_runtime.protocols.grpc.messages import inference_pb2 as pb
from modelfleet_runtime.signature import DType, Signature
from tests.unit.runtime.builders import doubling, spec
from tests.unit.runtime.grpc.serving import array_of, request, running

pytestmark = pytest.mark.usefixtures("transport")

SECOND = 1.0
INVALID = grpc.StatusCode.INVALID_ARGUMENT
NOT_FOUND = grpc.StatusCode.NOT_FOUND
EXHAUSTED = grpc.StatusCode.RESOURCE_EXHAUSTED
Change = Callable[[pb.ModelInferRequest], Any]


def fields(**values: Any) -> Change:
    def change(asked: pb.ModelInferRequest) -> None:
        for name, value in values.items():
            setattr(asked, name, value)

    return change


def tensor(**values: Any) -> Change:
    """Changes the input x; a list replaces its shape."""

    def change(asked: pb.ModelInferRequest) -> None:
        for name, value in values.items():
            if isinstance(value, list):
                del asked.inputs[0].shape[:]
                asked.inputs[0].shape.extend(value)
            else:
                setattr(asked.inputs[0], name, value)

    return change


def raw(*contents: bytes) -> Change:
    def change(asked: pb.ModelInferRequest) -> None:
        del asked.raw_input_contents[:]
        asked.raw_input_contents.extend(contents)

    return change


def typed(**contents: list[Any]) -> Change:
    def change(asked: pb.ModelInferRequest) -> None:
        del asked.raw_input_contents[:]
        for name, values in contents.items():
            getattr(asked.inputs[0].contents, name).extend(values)

    return change


def parameter(name: str, **value: Any) -> Change:
    return lambda asked: asked.parameters[name].MergeFrom(pb.InferParameter(**value))


def input_parameter(name: str, **value: Any) -> Change:
    return lambda asked: asked.inputs[0].parameters[name].MergeFrom(pb.InferParameter(**value))


def output(name: str, **parameters: pb.InferParameter) -> Change:
    def change(asked: pb.ModelInferRequest) -> None:
        made = asked.outputs.add(name=name)
        for key, value in parameters.items():
            made.parameters[key].MergeFrom(value)

    return change


def also(*changes: Change) -> Change:
    def change(asked: pb.ModelInferRequest) -> None:
        for one in changes:
            one(asked)

    return change


FOUR = struct.pack("<4f", 1, 2, 3, 4)
NAMED = pb.InferParameter(string_param="region")
TABLE: list[tuple[str, Change, grpc.StatusCode, str]] = [
    ("no model", fields(model_name=""), NOT_FOUND, "unknown model"),
    ("another model", fields(model_name="n"), NOT_FOUND, "unknown model"),
    ("a long model name", fields(model_name="n" * 10_000), NOT_FOUND, "unknown model"),
    ("another version", fields(model_version="9"), NOT_FOUND, "version '9'"),
    ("no inputs", lambda q: q.ClearField("inputs"), INVALID, "no inputs"),
    ("an input without a name", tensor(name=""), INVALID, "unexpected input"),
    ("another input", tensor(name="z"), INVALID, "unexpected input 'z'"),
    ("an input twice", lambda q: q.inputs.append(q.inputs[0]), INVALID, "needs one for each"),
    (
        "an input twice with its bytes",
        also(lambda q: q.inputs.append(q.inputs[0]), raw(FOUR, FOUR)),
        INVALID,
        "there twice",
    ),
    (
        "one input too many",
        also(lambda q: q.inputs.add(name="w", datatype="FP32", shape=[1]), raw(FOUR, FOUR)),
        INVALID,
        "unexpected input 'w'",
    ),
    ("no datatype", tensor(datatype=""), INVALID, "is not supported"),
    ("an unknown datatype", tensor(datatype="FLOAT"), INVALID, "'FLOAT' is not supported"),
    ("a datatype in lower case", tensor(datatype="fp32"), INVALID, "is not supported"),
    ("BF16", tensor(datatype="BF16"), INVALID, "is not supported"),
    ("the wrong datatype", tensor(datatype="FP64"), INVALID, "expected FP32"),
    ("a wide integer", tensor(datatype="INT64"), INVALID, "expected FP32"),
    ("no shape", tensor(shape=[]), INVALID, "needs 4"),
    ("too few dimensions", tensor(shape=[4]), INVALID, "has shape"),
    ("too many dimensions", tensor(shape=[1, 1, 4]), INVALID, "has shape"),
    ("a row that is too long", also(tensor(shape=[1, 5]), raw(FOUR * 5)), INVALID, "20|80"),
    ("rows that are not there", tensor(shape=[2, 4]), INVALID, "needs 32"),
    ("no rows", also(tensor(shape=[0, 4]), raw(b"")), INVALID, "no rows"),
    ("a size below 0", tensor(shape=[-1, 4]), INVALID, "not a size"),
    ("the least size", tensor(shape=[-(2**63), 4]), INVALID, "not a size"),
    ("an absurd size", tensor(shape=[2**62, 4]), INVALID, "not a size"),
    ("absurd sizes", tensor(shape=[2**40, 2**40]), INVALID, "larger than any memory"),
    ("33 dimensions", tensor(shape=[1] * 33), INVALID, "at most 32"),
    ("10000 dimensions", tensor(shape=[1] * 10_000), INVALID, "at most 32"),
    ("no bytes", raw(b""), INVALID, "has 0 bytes"),
    ("too few bytes", raw(FOUR[:-1]), INVALID, "has 15 bytes"),
    ("too many bytes", raw(FOUR + b"\0"), INVALID, "has 17 bytes"),
    ("bytes for two inputs", raw(FOUR, FOUR), INVALID, "needs one for each"),
    ("no values at all", raw(), INVALID, "0 values"),
    (
        "contents and raw contents",
        lambda q: q.inputs[0].contents.fp32_contents.extend([1, 2, 3, 4]),
        INVALID,
        "has contents",
    ),
    ("too few values", typed(fp32_contents=[1, 2, 3]), INVALID, "3 values"),
    ("too many values", typed(fp32_contents=[1] * 5), INVALID, "5 values"),
    ("values of another kind", typed(int_contents=[1, 2, 3, 4]), INVALID, "stands in fp32"),
    ("double values", typed(fp64_contents=[1, 2, 3, 4]), INVALID, "stands in fp32"),
    ("text", typed(bytes_contents=[b"a"] * 4), INVALID, "stands in fp32"),
    ("values of two kinds", typed(fp32_contents=[1] * 4, int_contents=[1]), INVALID, "stands in"),
    ("true and false", typed(bool_contents=[True] * 4), INVALID, "stands in fp32"),
    ("another output", output("z"), INVALID, "unexpected output 'z'"),
    ("an output without a name", output(""), INVALID, "unexpected output"),
    ("an output twice", also(output("y"), output("y")), INVALID, "there twice"),
    (
        "classification",
        output("y", classification=pb.InferParameter(int64_param=3)),
        INVALID,
        "classification is not supported",
    ),
    ("an output in shared memory", output("y", shared_memory_region=NAMED), INVALID, "not supp"),
    (
        "an input in shared memory",
        input_parameter("shared_memory_region", string_param="r"),
        INVALID,
        "shared memory is not supported",
    ),
    ("no time", parameter("timeout", int64_param=0), INVALID, '"timeout"'),
    ("time below 0", parameter("timeout", int64_param=-1), INVALID, '"timeout"'),
    ("time as text", parameter("timeout", string_param="5"), INVALID, '"timeout"'),
    ("time as a fraction", parameter("timeout", double_param=0.5), INVALID, '"timeout"'),
    ("time as true", parameter("timeout", bool_param=True), INVALID, '"timeout"'),
    ("a sequence", parameter("sequence_id", int64_param=7), INVALID, "sequences are not"),
    ("a named sequence", parameter("sequence_id", string_param="s"), INVALID, "sequences are not"),
    ("a sequence's start", parameter("sequence_start", bool_param=True), INVALID, "sequences"),
]


async def refused(call: Any) -> grpc.aio.AioRpcError:
    async with asyncio.timeout(SECOND):
        with pytest.raises(grpc.aio.AioRpcError) as failed:
            await call
    sentence = failed.value.details() or ""
    assert 0 < len(sentence) < 700
    for never in ("Traceback", "\n", ".py"):
        assert never not in sentence
    return failed.value


@pytest.mark.parametrize(
    ("change", "status", "words"), [row[1:] for row in TABLE], ids=[row[0] for row in TABLE]
)
async def test_a_malformed_request_is_refused_in_words(
    change: Change, status: grpc.StatusCode, words: str
) -> None:
    asked = request()
    change(asked)
    async with running(doubling()) as up:
        await up.infer(request())  # so that what is known of good requests could mislead
        found = await refused(up.infer(asked))
        assert found.code() is status
        assert any(word in (found.details() or "") for word in words.split("|")), found.details()
        assert array_of(await up.infer(request())) == [[2, 4]]
        assert up.service.bodies.held == 0


RANGES = [
    (DType.INT8, "int_contents", 128),
    (DType.INT8, "int_contents", -129),
    (DType.INT16, "int_contents", 32768),
    (DType.UINT8, "uint_contents", 256),
    (DType.UINT16, "uint_contents", 65536),
]


@pytest.mark.parametrize(("dtype", "field", "value"), RANGES)
async def test_a_number_out_of_its_datatypes_range(dtype: DType, field: str, value: int) -> None:
    signature = Signature((spec("x", dtype, 1),), ())
    asked = pb.ModelInferRequest(model_name="m")
    item = asked.inputs.add(name="x", datatype=dtype.value, shape=[1])
    getattr(item.contents, field).append(value)
    async with running(lambda batch: {"y": batch["x"]}, signature) as up:
        found = await refused(up.infer(asked))
    assert found.code() is INVALID
    assert "out of the range" in (found.details() or "")


@pytest.mark.parametrize(
    ("dtype", "shape", "content"),
    [
        (DType.BOOL, [1], b"\2"),
        (DType.FP16, [1], b"\0"),
        (DType.BYTES, [1], b"\0\0"),
        (DType.BYTES, [1], struct.pack("<I", 5) + b"abc"),
        (DType.BYTES, [2], struct.pack("<I", 3) + b"abc"),
        (DType.BYTES, [1], struct.pack("<I", 2) + b"abc"),
        (DType.BYTES, [2**40], b"abcd"),
    ],
)
async def test_bytes_that_are_not_what_they_say(
    dtype: DType, shape: list[int], content: bytes
) -> None:
    signature = Signature((spec("x", dtype, -1),), ())
    asked = pb.ModelInferRequest(model_name="m", raw_input_contents=[content])
    asked.inputs.add(name="x", datatype=dtype.value, shape=shape)
    async with running(lambda batch: {"y": batch["x"]}, signature) as up:
        assert (await refused(up.infer(asked))).code() is INVALID


async def test_fp16_has_no_typed_contents() -> None:
    signature = Signature((spec("x", DType.FP16, 1),), ())
    asked = pb.ModelInferRequest(model_name="m")
    item = asked.inputs.add(name="x", datatype="FP16", shape=[1])
    item.contents.fp32_contents.append(1)
    async with running(lambda batch: {"y": batch["x"]}, signature) as up:
        assert "raw_input_contents" in ((await refused(up.infer(asked))).details() or "")


async def test_not_a_number_is_a_number_like_others() -> None:
    asked = request([[math.nan, math.inf, 0, 0]])
    async with running(doubling()) as up:
        (row,) = array_of(await up.infer(asked))
    assert math.isnan(row[0])
    assert math.isinf(row[1])


@pytest.mark.parametrize(
    "message",
    [b"\xff" * 20, b"\x0a\xff", b"\x08", b"\x3a\xff\xff\xff\xff\xff\x0f", b"\x0a\x02\xff\xfe", b""],
)
async def test_bytes_that_are_no_message(message: bytes) -> None:
    async with running(doubling()) as up:
        call = up.raw("inference.GRPCInferenceService/ModelInfer")(message)
        assert (await refused(call)).code() is INVALID
        await up.infer(request())


@pytest.mark.parametrize("name", ["ModelConfig", "ModelStatistics", "RepositoryModelLoad"])
async def test_bytes_that_are_no_message_of_any_method(name: str) -> None:
    async with running(doubling()) as up:
        call = up.raw(f"inference.GRPCInferenceService/{name}")(b"\x0a\xff")
        found = await refused(call)
    assert found.code() is INVALID
    assert f"{name}Request" in (found.details() or "")


async def test_a_message_above_the_limit_is_refused_and_its_memory_comes_back() -> None:
    limits = RequestLimits(body_bytes=100_000)
    async with running(doubling(), limits=limits) as up:
        for values in ([[0, 0, 0, 0]] * 10_000, [[0, 0, 0, 0]] * 200_000):
            found = await refused(up.infer(request(values)))
            assert found.code() is EXHAUSTED
            assert "larger than" in (found.details() or "")
            await up.infer(request())
        assert up.service.bodies.held == 0


async def test_a_small_message_that_inflates_above_the_limit_is_refused() -> None:
    limits = RequestLimits(body_bytes=100_000)
    async with running(doubling(), limits=limits) as up:
        call = up.infer(request([[0, 0, 0, 0]] * 10_000), compression=grpc.Compression.Gzip)
        assert (await refused(call)).code() is EXHAUSTED
        await up.infer(request())


async def test_bodies_that_together_are_too_large_are_refused() -> None:
    limits = RequestLimits(body_bytes=100_000, bodies_bytes=100_000)
    async with running(doubling(), limits=limits) as up:
        calls = [up.infer(request([[0, 0, 0, 0]] * 5_000)) for _ in range(8)]
        found = await asyncio.gather(*calls, return_exceptions=True)
        codes = {one.code() for one in found if isinstance(one, grpc.aio.AioRpcError)}
        assert codes <= {grpc.StatusCode.UNAVAILABLE}
        assert any(not isinstance(one, BaseException) for one in found)
        await up.infer(request())
        assert up.service.bodies.held == 0


@pytest.mark.parametrize("value", ["0", "-5", "abc", "1" * 13])
async def test_a_time_in_metadata_that_is_none(value: str) -> None:
    async with running(doubling()) as up:
        call = up.infer(request(), metadata=(("x-request-timeout-ms", value),))
        assert (await refused(call)).code() is INVALID
