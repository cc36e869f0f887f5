"""`requirements.txt`: is all of it here? Nothing is installed: a pod that asks an index when it
starts serves what the index holds that day, or nothing."""

from importlib import metadata
from pathlib import Path

from packaging.requirements import InvalidRequirement, Requirement

from modelfleet_contract import FailureReason
from modelfleet_runtime.errors import CannotServe


def check(file: Path) -> None:
    """Raises `CannotServe` with reason Unsupported, which names what is missing."""
    missing = [line for line in _lines(file) if not _is_here(line)]
    if missing:
        more = f" and {len(missing) - 5} more" if len(missing) > 5 else ""
        raise CannotServe(
            FailureReason.UNSUPPORTED,
            f"{file.name} asks for {', '.join(missing[:5])}{more}, which this image does not have; "
            "nothing is installed at start, so serve it with an image that has them",
        )


def _lines(file: Path) -> list[str]:
    text = file.read_text(errors="replace").replace("\\\n", " ")
    stripped = (line.partition(" #")[0].strip() for line in text.splitlines())
    return [line for line in stripped if line and not line.startswith("#")]


def _is_here(line: str) -> bool:
    try:
        wanted = Requirement(line.partition(" --")[0])
    except InvalidRequirement:
        return False  # an option or an address: nobody can tell
    if wanted.marker is not None and not wanted.marker.evaluate():
        return True
    try:
        version = metadata.version(wanted.name)
    except metadata.PackageNotFoundError:
        return False
    return wanted.specifier.contains(version, prereleases=True)
