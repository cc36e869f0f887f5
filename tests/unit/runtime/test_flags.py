"""What the command line refuses, in which words, and with which code."""

from dataclasses import replace
from pathlib import Path

import pytest

from modelfleet_contract import FailureReason, Reduce, ServeDocument
from modelfleet_runtime.__main__ import _with_ports_apart
from modelfleet_runtime.documents import document_of_flags
from modelfleet_runtime.errors import CannotServe
from modelfleet_runtime.flags import parser
from modelfleet_runtime.settings import Settings


def document(*arguments: str) -> ServeDocument:
    options = parser().parse_args(["serve", *arguments])
    return document_of_flags(options, Settings(cache=Path("/cache")))[0]


@pytest.mark.parametrize(
    ("arguments", "sentence"),
    [
        ("--max-batch-size 0", "--max-batch-size is 0; write 1 to 4096"),
        ("--max-batch-size many", "--max-batch-size is many; write 1 to 4096"),
        ("--max-batch-size 1.5", "--max-batch-size is 1.5; write 1 to 4096"),
        ("--queue-size 65537", "--queue-size is 65537; write 1 to 65536"),
        ("--queue-bytes 0Mi", "--queue-bytes is 0Mi; write more than 0 bytes, like 64Mi"),
        ("--queue-bytes big", "--queue-bytes is big; write one like 64Mi, 1Gi or 500M"),
        ("--workers 65", "--workers is 65; write 1 to 64"),
        ("--port 80000", "--port is 80000; write 0 to 65535"),
        ("--port -1", "--port is -1; write 0 to 65535"),
        ("--grpc-port on", "--grpc-port is on; write 0 to 65535, or off"),
        ("--threads 0", "--threads is 0; write 1 to 4096"),
        ("--threads -3", "--threads is -3; write 1 to 4096"),
        ("--threads 4000000", "--threads is 4000000; write 1 to 4096"),
        ("--timeout 0s", "--timeout is 0s; write more than 0s and up to 1h, like 30s"),
        ("--timeout 2h", "--timeout is 2h; write more than 0s and up to 1h, like 30s"),
        ("--timeout 30", "--timeout is 30; write one like 250ms, 30s, 2m or 1h30m"),
        ("--queue-timeout 30s", "--queue-timeout is 30s; write less than --timeout, which is 30s"),
        (
            "--queue-timeout 0s",
            "--queue-timeout is 0s; write more than 0s: no request could wait at all",
        ),
        (
            "--timeout 1s --max-delay 2s",
            "--max-delay is 2s; write less than --timeout, which is 1s",
        ),
        ("--max-delay 400000h", "--max-delay is 400000h; write a shorter duration"),
        (
            "--max-batch-size 1 --max-delay 1ms",
            (
                "--max-delay has no effect while --max-batch-size is 1 (no batching); "
                "write more rows, or leave it out"
            ),
        ),
        (
            "--max-batch-size 8 --preferred-sizes 4,9",
            "--preferred-sizes is 9; write no more than --max-batch-size, which is 8",
        ),
        (
            "--preferred-sizes 4,x",
            "--preferred-sizes is '4,x'; write numbers of rows from 1 to 4096, like 8,16",
        ),
        ("--pad x=y", "--pad is 'x=y'; write INPUT, or INPUT=VALUE with a whole number"),
        ("--pad x --pad x=1", "--pad is x; write each input once"),
        (
            "--value score",
            "--value is score; write NAME=OUTPUT or NAME=REDUCE:OUTPUT, Mean|Max|Min|First",
        ),
        (
            "--feedback 1st",
            (
                "--feedback is 1st; write a name of letters, digits, _ and -, "
                "not beginning with a digit or -"
            ),
        ),
        (
            "--feedback a --feedback a",
            "values and feedback name 'a' twice; give each a name of its own",
        ),
        (
            "--format jax",
            (
                "--format is jax; write one of auto, onnx, torchscript, pt2, python, torchserve, "
                "sagemaker, azureml, vertex"
            ),
        ),
        ("--device tpu", "--device is tpu; write one of auto, cpu, cuda"),
        ("--log-format xml", "--log-format is xml; write one of auto, json, text"),
        (
            "--name a/b",
            "--name is 'a/b'; write 1 to 253 characters without a slash; it is part of addresses",
        ),
        (
            "--digest sha256:12",
            "--digest is 'sha256:12'; write sha256: and 64 hexadecimal digits in lower case",
        ),
    ],
)
def test_a_value_that_cannot_be(arguments: str, sentence: str) -> None:
    with pytest.raises(CannotServe) as caught:
        document("m.onnx", *arguments.split())
    assert caught.value.failure.message == sentence
    assert caught.value.failure.reason is FailureReason.DOCUMENT_INVALID


@pytest.mark.parametrize(
    ("path", "words"),
    [
        ("s3://bucket/m", "s3:// is not supported here; use a path, file:// or http(s)://"),
        ("FTP://host/m", "ftp:// is not supported here; use a path, file:// or http(s)://"),
        ("pvc://claim/m", "a pvc:// address is of a cluster; give the path"),
        ("http://host/m?a=1", "http://host/m?a=1 cannot be fetched; write http(s)://host/path"),
    ],
)
def test_an_address_that_is_not_served(path: str, words: str) -> None:
    with pytest.raises(CannotServe) as caught:
        document(path)
    assert caught.value.failure.message.startswith(words)


def test_values_that_can_be() -> None:
    made = document(
        *("m.onnx", "--max-batch-size", "8", "--preferred-sizes", "4,8", "--max-delay", "2ms"),
        *("--queue-timeout", "1s", "--timeout", "1h", "--pad", "x", "--pad", "y=-1"),
    )
    assert made.batching.preferred_sizes == [4, 8]
    assert [(pad.input, pad.value) for pad in made.batching.padding] == [("x", 0), ("y", -1)]
    counted = document(
        *("m.onnx", "--value", "a=y:0", "--value", "b=Max:y:0", "--feedback", "clicked")
    )
    assert [(value.name, value.output, value.reduce) for value in counted.values] == [
        ("a", "y:0", Reduce.MEAN),
        ("b", "y:0", Reduce.MAX),
    ]
    assert counted.feedback == ("clicked",)
    assert document("file:///a/m.onnx").model.uri == "file:///a/m.onnx"
    assert document("http://host/digits.tar.gz").name == "digits"


@pytest.mark.parametrize("flag", ["--max-batch", "--max-bach-size", "--verbose"])
def test_a_flag_that_is_not_there(flag: str, capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as ended:
        parser().parse_args(["serve", "m.onnx", flag, "4"])
    assert ended.value.code == 2
    said = capsys.readouterr().err
    assert said.startswith("usage: modelfleet-runtime serve ")
    assert f"unknown: {flag} 4" in said


def test_two_ports_that_are_one() -> None:
    settings = Settings(port=9000, grpc_port=9000)
    with pytest.raises(CannotServe, match="--port and --grpc-port are both 9000"):
        _with_ports_apart(settings, chosen=False)
    default = replace(settings, port=8081, grpc_port=8081)
    with pytest.raises(CannotServe, match="both 8081"):
        _with_ports_apart(default, chosen=True)
    assert _with_ports_apart(default, chosen=False).grpc_port is None
    for apart in (Settings(port=0, grpc_port=0), Settings(port=8081, grpc_port=None)):
        assert _with_ports_apart(apart, chosen=True) == apart


def test_the_version(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as ended:
        parser().parse_args(["--version"])
    assert ended.value.code == 0
    assert capsys.readouterr().out.startswith("modelfleet-runtime 0")
