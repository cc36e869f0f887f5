"""Unpack what a stranger packed: nothing outside the folder, no links, all of it bounded.

Only regular files and folders are taken. A link, a device or a path that leaves the folder makes
the whole archive refused: a package that needs one is either broken or up to something.
"""

import bz2
import contextlib
import gzip
import lzma
import stat
import tarfile
import zipfile
import zlib
from collections.abc import Generator
from dataclasses import dataclass, field
from pathlib import Path, PurePosixPath
from typing import IO, cast

from modelfleet_contract import FailureReason
from modelfleet_runtime.errors import CannotServe, one_line
from modelfleet_runtime.limits import ArchiveLimits

CHUNK = 1024 * 1024
TAR_SUFFIXES = (".tar", ".tar.gz", ".tgz")
ZIP_SUFFIXES = (".zip",)
HEADER_BYTES = 256 * 1024
"""Most in a tar's header of long names and attributes, which tarfile holds in memory whole."""


def is_archive(name: str) -> bool:
    """By the name: a TorchScript file is a zip too, and stays a file."""
    return name.lower().endswith(TAR_SUFFIXES + ZIP_SUFFIXES)


def unpack(
    archive: Path,
    name: str,
    into: Path,
    limits: ArchiveLimits | None = None,
    is_zip: bool | None = None,
) -> None:
    """Everything in `archive` (called `name` at its address) into the folder `into`. `is_zip` says
    so of an archive whose name does not; None: the name does.

    Raises `CannotServe` with the entry that is refused, or that the archive is damaged; what was
    written until then stays, for the caller to throw away.
    """
    budget = _Budget(limits or ArchiveLimits(), archive.stat().st_size)
    try:
        if name.lower().endswith(ZIP_SUFFIXES) if is_zip is None else is_zip:
            with zipfile.ZipFile(archive) as opened:
                _write_all(_zip_entries(opened), into, budget)
        else:
            with _decompressed(archive) as stream:
                bounded = cast(IO[bytes], _Bounded(stream, budget))  # read is all it takes
                with tarfile.open(fileobj=bounded, mode="r|", tarinfo=_Header) as tar:
                    _write_all(_tar_entries(tar), into, budget)
    except _DAMAGED as e:
        raise _refuse(f"{name} is a damaged archive: {one_line(e)}") from e
    except RuntimeError as error:  # zipfile's word for an encrypted entry
        raise _refuse(f"{name} cannot be unpacked: {one_line(error)}") from error
    except OSError as error:
        # gzip raises OSError for a bad stream; the disk raises it with an errno.
        if error.errno is None:
            raise _refuse(f"{name} is a damaged archive: {one_line(error)}") from error
        raise


_DAMAGED = (
    tarfile.TarError,
    zipfile.BadZipFile,
    zlib.error,
    lzma.LZMAError,
    EOFError,
    ValueError,
    NotImplementedError,
)


@dataclass(slots=True)
class _Budget:
    limits: ArchiveLimits
    packed: int
    files: int = 0
    written: int = 0
    ceiling: int = field(init=False)

    def __post_init__(self) -> None:
        ratio = max(self.limits.ratio_free_bytes, self.packed * self.limits.ratio)
        self.ceiling = min(self.limits.total_bytes, ratio)

    def entry(self) -> None:
        self.files += 1
        if self.files > self.limits.files:
            raise _refuse(f"the archive holds more than {self.limits.files} entries")

    def write(self, count: int) -> None:
        self.written += count
        self.check(self.written)

    def check(self, count: int) -> None:
        if count > self.ceiling:
            raise _refuse(f"the archive of {self.packed} bytes unpacks to more than {self.ceiling}")


def _decompressed(archive: Path) -> IO[bytes]:
    """By the first bytes, as tarfile does it: a name says little."""
    with archive.open("rb") as stream:
        start = stream.read(6)
    if start.startswith(b"\x1f\x8b"):
        return cast(IO[bytes], gzip.open(archive))
    if start.startswith(b"BZh"):
        return bz2.open(archive)
    if start == b"\xfd7zXZ\0":
        return lzma.open(archive)
    return archive.open("rb")


class _Bounded:
    """A tar's bytes. What is not written counts too: headers and what lies between entries."""

    def __init__(self, stream: IO[bytes], budget: _Budget) -> None:
        self.stream = stream
        self.budget = budget
        self.count = 0

    def read(self, size: int) -> bytes:
        data = self.stream.read(size)
        self.count += len(data)
        self.budget.check(self.count)
        return data


class _Header(tarfile.TarInfo):
    _LONG = frozenset({
        tarfile.GNUTYPE_LONGNAME,
        tarfile.GNUTYPE_LONGLINK,
        tarfile.XHDTYPE,
        tarfile.XGLTYPE,
        tarfile.SOLARIS_XHDTYPE,
    })  # fmt: skip

    def _proc_member(self, tar: tarfile.TarFile) -> tarfile.TarInfo:
        """tarfile's own hook for subclasses, before a header's data is read."""
        if self.type in self._LONG and self.size > HEADER_BYTES:
            raise _refuse(f"the archive holds a header of more than {HEADER_BYTES} bytes")
        found: tarfile.TarInfo = super()._proc_member(tar)  # type: ignore[misc]
        return found


@dataclass(frozen=True, slots=True)
class _Entry:
    name: str
    stream: IO[bytes] | None
    """None for a folder."""


def _tar_entries(tar: tarfile.TarFile) -> Generator[_Entry, None, None]:
    for member in tar:
        if member.isdir():
            yield _Entry(member.name, None)
        elif member.isreg():
            stream = tar.extractfile(member)
            assert stream is not None
            yield _Entry(member.name, stream)
        else:
            raise _refuse(f"the archive's entry {member.name!r} is a link or a device")


def _zip_entries(archive: zipfile.ZipFile) -> Generator[_Entry, None, None]:
    for info in archive.infolist():
        kind = stat.S_IFMT(info.external_attr >> 16)
        if kind not in (0, stat.S_IFREG, stat.S_IFDIR):
            raise _refuse(f"the archive's entry {info.filename!r} is a link or a device")
        if info.is_dir():
            yield _Entry(info.filename, None)
        else:
            with archive.open(info) as stream:
                yield _Entry(info.filename, stream)


def _write_all(entries: Generator[_Entry, None, None], into: Path, budget: _Budget) -> None:
    with contextlib.closing(entries):  # or a refusal leaves the entry's file open
        for entry in entries:
            _write(entry, into, budget)


def _write(entry: _Entry, into: Path, budget: _Budget) -> None:
    budget.entry()
    target = into / inside(entry.name, budget.limits.depth)
    parent = target if entry.stream is None else target.parent
    try:
        parent.mkdir(parents=True, exist_ok=True)
    except (FileExistsError, NotADirectoryError) as error:
        raise _refuse(
            f"the archive holds {entry.name!r}, and a file where its folder would be"
        ) from error
    if entry.stream is None:
        return
    # "x": two entries of one name would let the second replace what was looked at.
    try:
        with target.open("xb") as out:
            while chunk := entry.stream.read(CHUNK):
                budget.write(len(chunk))
                out.write(chunk)
    except FileExistsError as error:
        raise _refuse(f"the archive holds {entry.name!r} twice") from error


def inside(name: str, depth: int = 32) -> PurePosixPath:
    """The entry's path, relative and within the folder. Raises `CannotServe`."""
    path = PurePosixPath(name)
    bad = path.is_absolute() or ".." in path.parts or "\\" in name or "\0" in name
    if bad or len(path.parts) > depth or any(len(p.encode()) > 255 for p in path.parts):
        raise _refuse(f"the archive's entry {name[:120]!r} leaves the folder or is too deep")
    return path


def _refuse(message: str) -> CannotServe:
    return CannotServe(FailureReason.MODEL_INVALID, message)
