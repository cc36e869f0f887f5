"""How are other programs run? Their chatter goes to a log, of which a failure shows the end."""

import subprocess
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

from dev.images.errors import Refused
from dev.images.say import hint

_LINES_SHOWN = 15


def answer(command: Sequence[str], environment: Mapping[str, str] | None = None) -> str:
    """What the program prints."""
    done = subprocess.run(command, env=environment, capture_output=True, text=True, check=False)
    if done.returncode != 0:
        raise Refused(f"`{' '.join(command)}` failed: {done.stderr.strip()}")
    return done.stdout.strip()


def logged(
    command: Sequence[str],
    log: Path,
    environment: Mapping[str, str] | None = None,
    worth_showing: Callable[[str], bool] = lambda line: True,
) -> None:
    """Run it with its output in `log`; on a terminal the last line worth it is shown."""
    log.parent.mkdir(parents=True, exist_ok=True)
    with (
        log.open("w", errors="replace") as kept,
        subprocess.Popen(
            command,
            env=environment,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            errors="replace",
        ) as process,
    ):
        assert process.stdout is not None
        try:
            for line in process.stdout:
                kept.write(line)
                if worth_showing(line):
                    hint(line.strip())
        except BaseException:
            process.terminate()
            raise
    if process.returncode != 0:
        end = "\n".join(log.read_text(errors="replace").splitlines()[-_LINES_SHOWN:])
        raise Refused(f"{end}\n{Path(command[0]).name} failed; all it said is in {log}.")
