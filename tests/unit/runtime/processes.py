"""`modelfleet-runtime` as a process of its own: started, heard, signalled, and always ended."""

import json
import os
import re
import signal
import subprocess
import sys
import threading
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import httpx

from modelfleet_contract import Failure

ROOT = Path(__file__).resolve().parents[3]
DIGITS = ROOT / "examples" / "digits"
PATIENCE = 30.0


class Runtime:
    """One process; its log lines are kept, and can be waited for."""

    def __init__(self, arguments: list[str], env: Mapping[str, str], termination_log: Path) -> None:
        self.termination_log = termination_log
        termination_log.write_text("")
        kept = {k: v for k, v in os.environ.items() if not k.startswith("MODELFLEET_")}
        self.process = subprocess.Popen(
            [sys.executable, "-m", "modelfleet_runtime", *arguments],
            env=kept
            | {"MODELFLEET_TERMINATION_LOG": str(termination_log), "MODELFLEET_THREADS": "1"}
            | dict(env),
            stdin=subprocess.DEVNULL,
            stderr=subprocess.PIPE,
            text=True,
        )
        self.lines: list[str] = []
        self._news = threading.Condition()
        self._ended = False
        self._reader = threading.Thread(target=self._read, daemon=True)
        self._reader.start()

    def _read(self) -> None:
        assert self.process.stderr is not None
        with self.process.stderr as stream:
            for line in stream:
                with self._news:
                    self.lines.append(line)
                    self._news.notify_all()
        with self._news:
            self._ended = True
            self._news.notify_all()

    @property
    def log(self) -> str:
        return "".join(self.lines)

    def heard(self, pattern: str) -> re.Match[str]:
        """Waits for a log line; an AssertionError with the log when the process ends before."""

        def found() -> re.Match[str] | None:
            return next((m for line in self.lines if (m := re.search(pattern, line))), None)

        with self._news:
            self._news.wait_for(lambda: found() is not None or self._ended, PATIENCE)
            match = found()
        assert match is not None, f"{pattern!r} was not logged:\n{self.log}"
        return match

    @property
    def url(self) -> str:
        return self.heard(r"listening on (http://[0-9.]+:\d+)")[1]

    def ready(self) -> "Runtime":
        self.heard("ready after")
        return self

    def signal(self, number: int = signal.SIGTERM) -> None:
        self.process.send_signal(number)

    def end(self) -> int:
        """The exit code."""
        code = self.process.wait(PATIENCE)
        self._reader.join(PATIENCE)
        return code

    @property
    def said(self) -> str:
        """What stands in the termination log."""
        return self.termination_log.read_text()

    @property
    def failure(self) -> Failure:
        failure = Failure.from_termination_log(self.said)
        assert failure is not None, f"nothing in the termination log:\n{self.log}"
        return failure


@contextmanager
def runtime(folder: Path, *arguments: str, **env: str) -> Iterator[Runtime]:
    """A running `modelfleet-runtime serve` on a free port of loopback; killed at the end."""
    folder.mkdir(parents=True, exist_ok=True)
    flags = ["--port", "0", "--grpc-port", "0", "--host", "127.0.0.1"]
    started = Runtime(["serve", *flags, *arguments], env, folder / "termination-log")
    try:
        yield started
    finally:
        if started.process.poll() is None:
            started.process.kill()
        started.end()


def client(url: str) -> httpx.Client:
    return httpx.Client(base_url=url, timeout=PATIENCE, trust_env=False)


def metric(page: str, name: str, **labels: str) -> float:
    """The value of one series in the text format."""
    for line in page.splitlines():
        match = re.fullmatch(r"(\w+)\{(.*)\} (\S+)", line)
        if match and match[1] == name:
            have = dict(re.findall(r'(\w+)="([^"]*)"', match[2]))
            if labels.items() <= have.items():
                return float(match[3])
    raise AssertionError(f"no series {name} with {labels}")


def check_refusal(answer: httpx.Response, status: int, words: str = "") -> None:
    """An answer that is a refusal: one sentence in JSON, and nothing of the server's inside."""
    assert answer.status_code == status, answer.text
    body: Any = json.loads(answer.content)
    assert set(body) == {"error"}
    sentence = body["error"]
    assert isinstance(sentence, str)
    assert sentence
    assert len(sentence) < 700
    for never in ("Traceback", "\n", "site-packages", ".py"):
        assert never not in sentence
    assert re.search(words, sentence), sentence
    assert answer.headers["x-request-id"]
