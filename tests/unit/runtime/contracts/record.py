"""Ask the originals what ours is compared with, and keep their answers in `recorded/`.

    python -m tests.unit.runtime.contracts.record [azureml|vertex|sagemaker ...]

Each original is installed in an environment of its own below `.artifacts/originals`, from the
package registry. Azure ML's is a server, and so is Vertex AI's (`vertex_server.py` starts it).
SageMaker's toolkit is what a model server calls; `sagemaker_driver.py` calls it in its stead.
"""

import base64
import json
import os
import subprocess
import sys
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import httpx

from tests.unit.runtime.contracts.answers import told
from tests.unit.runtime.contracts.cases import CASES, Case

HERE = Path(__file__).parent
ROOT = HERE.parents[3]
ENVIRONMENTS = ROOT / ".artifacts" / "originals"
INSTALLED = {
    "azureml": ["azureml-inference-server-http==1.5.1", "numpy"],
    "vertex": ["google-cloud-aiplatform[prediction]==2.7.0"],
    "sagemaker": ["sagemaker-inference==1.10.1"],
}
PORT = 31987
ENV = {"SCORING_TIMEOUT_MS": "500"}
"""Of ours too: the case that is too slow ends by it."""


def main() -> None:
    for server in sys.argv[1:] or CASES:
        python = _environment(server)
        answers: dict[str, dict[str, Any]] = {}
        for package in sorted({case.package for case in CASES[server]}):
            cases = [case for case in CASES[server] if case.package == package]
            answers[package] = _ask(server, python, HERE / "packages" / package, cases)
        file = HERE / "recorded" / f"{server}.json"
        told = {"original": INSTALLED[server][0], "answers": answers}
        file.write_text(json.dumps(told, indent=1, sort_keys=True, ensure_ascii=False) + "\n")
        print(f"{file.relative_to(ROOT)}: {sum(map(len, answers.values()))} answers")


def _environment(server: str) -> Path:
    folder = ENVIRONMENTS / server
    if not (folder / "bin" / "python").exists():
        subprocess.run(["uv", "venv", "--quiet", "--python", "3.11", str(folder)], check=True)
    python = folder / "bin" / "python"
    install = ["uv", "pip", "install", "--quiet", "--python", str(python), *INSTALLED[server]]
    subprocess.run(install, check=True)
    return python


def _ask(server: str, python: Path, package: Path, cases: list[Case]) -> dict[str, Any]:
    if server == "sagemaker":
        return _drive(python, package, cases)
    with _running(server, python, package) as url, httpx.Client(base_url=url, timeout=30) as client:
        return {case.name: send(client, case, server) for case in cases}


def send(client: httpx.Client, case: Case, server: str) -> dict[str, Any]:
    """The answer of a server, with no header but the case's own."""
    request = httpx.Request(
        case.method,
        client.base_url.join(case.path),
        headers={"host": "localhost", **case.headers},
        content=case.body or (b"" if case.method in ("POST", "PUT") else None),
    )
    answer = client.send(request)
    headers = {name: answer.headers[name] for name in answer.headers}
    return told(answer.status_code, headers, answer.content, server)


@contextmanager
def _running(server: str, python: Path, package: Path) -> Iterator[str]:
    url = f"http://127.0.0.1:{PORT}"
    commands: Mapping[str, tuple[list[str], dict[str, str], str]] = {
        "azureml": (
            [str(python.parent / "azmlinfsrv"), "--entry_script", str(package / "score.py"),
             "--port", str(PORT), "--model_dir", str(package)],
            {}, "/",
        ),
        "vertex": (
            [str(python), str(HERE / "vertex_server.py"), str(PORT)],
            {"AIP_HTTP_PORT": str(PORT),
             "AIP_HEALTH_ROUTE": "/health", "AIP_PREDICT_ROUTE": "/predict",
             "AIP_STORAGE_URI": str(package), **vertex_classes(package)},
            "/health",
        ),
    }  # fmt: skip
    command, env, health = commands[server]
    process = subprocess.Popen(
        command,
        cwd=package,
        env={**os.environ, **ENV, **env, "PATH": f"{python.parent}:{os.environ['PATH']}"},
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    )
    try:
        for _ in range(600):
            try:
                if httpx.get(url + health).status_code == 200:
                    break
            except httpx.TransportError:
                time.sleep(0.2)
            assert process.poll() is None, f"{server} ended while it started"
        yield url
    finally:
        process.terminate()
        process.wait(30)


def vertex_classes(package: Path) -> dict[str, str]:
    """What the original has to be told; ours finds it."""
    if (package / "handler.py").exists():
        return {"HANDLER_MODULE": "handler", "HANDLER_CLASS": "Own",
                "PREDICTOR_MODULE": "predictor", "PREDICTOR_CLASS": "Doubler"}  # fmt: skip
    return {"HANDLER_MODULE": "google.cloud.aiplatform.prediction.handler",
            "HANDLER_CLASS": "PredictionHandler",
            "PREDICTOR_MODULE": "predictor", "PREDICTOR_CLASS": "Chooser"}  # fmt: skip


def _drive(python: Path, package: Path, cases: list[Case]) -> dict[str, Any]:
    asked = [{"headers": c.headers, "body": base64.b64encode(c.body).decode()} for c in cases]
    done = subprocess.run(
        [str(python), str(HERE / "sagemaker_driver.py"), str(package)],
        input=json.dumps(asked),
        env={**os.environ, "PYTHONPATH": str(package / "code")},
        stdout=subprocess.PIPE,
        text=True,
        check=True,
    )
    answers = json.loads(done.stdout.splitlines()[-1])
    return {
        case.name: told(
            answer["status"], answer["headers"], base64.b64decode(answer["body"]), "sagemaker"
        )
        for case, answer in zip(cases, answers, strict=True)
    }


if __name__ == "__main__":
    main()
