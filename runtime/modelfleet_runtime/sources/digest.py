"""Are these the bytes that the digest names?"""

import hashlib
from pathlib import Path

from modelfleet_contract import FailureReason
from modelfleet_runtime.errors import CannotServe


def sha256_of(file: Path) -> str:
    """`sha256:` and 64 hexadecimal digits."""
    with file.open("rb") as stream:
        return "sha256:" + hashlib.file_digest(stream, "sha256").hexdigest()


def verify(place: Path, wanted: str, address: str) -> None:
    """Raises `CannotServe` where the file at `place` is another, or `place` is a folder, whose
    bytes no digest names."""
    if place.is_dir():
        raise CannotServe(
            FailureReason.DIGEST_MISMATCH,
            f"{address} is a folder, and a digest names the bytes of one file; "
            "take the digest away or name a file",
        )
    check(sha256_of(place), wanted, address)


def check(found: str, wanted: str, address: str) -> None:
    if found != wanted:
        raise CannotServe(
            FailureReason.DIGEST_MISMATCH,
            f"the bytes at {address} have the digest {found}, and {wanted} was asked for",
        )
