"""kubectl and helm, as a test calls them."""

import subprocess
from collections.abc import Sequence
from dataclasses import dataclass


@dataclass(frozen=True)
class Completed:
    """What a program said."""

    returncode: int
    stdout: str
    stderr: str


class Program:
    """`program("get", "pods")` runs it; a failure is an AssertionError that says what it said."""

    def __init__(self, command: Sequence[str]) -> None:
        self.command = list(command)

    def __call__(
        self, *args: str, stdin: str | None = None, check: bool = True, timeout: float = 300
    ) -> Completed:
        done = subprocess.run(
            [*self.command, *args],
            input=stdin,
            capture_output=True,
            text=True,
            timeout=timeout,
            check=False,
        )
        completed = Completed(done.returncode, done.stdout, done.stderr)
        if check:
            assert done.returncode == 0, f"{' '.join(args)}: {done.stderr or done.stdout}"
        return completed
