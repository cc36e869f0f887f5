"""From an address to a folder: proved, bounded, resumed, and never outside of the folder."""

import bz2
import errno
import gzip
import hashlib
import io
import lzma
import os
import stat
import tarfile
import threading
import zipfile
from collections.abc import Callable, Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest

from modelfleet_contract import FailureReason, ModelSource
from modelfleet_runtime.errors import CannotServe
from modelfleet_runtime.limits import ArchiveLimits
from modelfleet_runtime.sources import archive, digest
from modelfleet_runtime.sources.download import Patience, download
from modelfleet_runtime.sources.fetch import fetch

BODY = os.urandom(300_000)
QUICK = Patience(tries=3, first_pause=0, stall=5)


def sha256(data: bytes) -> str:
    return "sha256:" + hashlib.sha256(data).hexdigest()


def refusal(call: object, *arguments: object) -> tuple[FailureReason, str]:
    assert callable(call)
    with pytest.raises(CannotServe) as caught:
        call(*arguments)
    return caught.value.failure.reason, caught.value.failure.message


# -- archives


def tar_of(*members: tuple[str, bytes | None], kind: bytes = tarfile.REGTYPE) -> bytes:
    out = io.BytesIO()
    with tarfile.open(fileobj=out, mode="w:gz") as tar:
        for name, data in members:
            info = tarfile.TarInfo(name)
            if data is None:
                info.type = tarfile.DIRTYPE
            else:
                info.type, info.size = kind, len(data) if kind == tarfile.REGTYPE else 0
                info.linkname = "/etc/passwd"
            tar.addfile(info, io.BytesIO(data or b""))
    return out.getvalue()


def zip_of(*members: tuple[str, bytes], mode: int = stat.S_IFREG | 0o644) -> bytes:
    out = io.BytesIO()
    with zipfile.ZipFile(out, "w", zipfile.ZIP_DEFLATED) as opened:
        for name, data in members:
            info = zipfile.ZipInfo(name)
            info.external_attr = mode << 16
            opened.writestr(info, data, zipfile.ZIP_DEFLATED)
    return out.getvalue()


def unpack(data: bytes, name: str, into: Path, limits: ArchiveLimits | None = None) -> None:
    packed = into.parent / "packed"
    packed.write_bytes(data)
    archive.unpack(packed, name, into, limits)


@pytest.mark.parametrize(
    ("data", "name"),
    [
        (tar_of(("m", None), ("m/model.onnx", b"abc")), "a.tar.gz"),
        (gzip.decompress(tar_of(("m/model.onnx", b"abc"))), "a.TAR"),
        (zip_of(("m/model.onnx", b"abc")), "a.zip"),
    ],
)
def test_unpacked(data: bytes, name: str, tmp_path: Path) -> None:
    unpack(data, name, tmp_path / "out")
    assert (tmp_path / "out" / "m" / "model.onnx").read_bytes() == b"abc"


@pytest.mark.parametrize(
    "name", ["../evil", "/etc/evil", "a/../../evil", "a\\..\\evil", "/".join("d" * 40), "n" * 300]
)
@pytest.mark.parametrize("pack", ["tar", "zip"])
def test_no_path_leaves_the_folder(name: str, pack: str, tmp_path: Path) -> None:
    data = tar_of((name, b"x")) if pack == "tar" else zip_of((name, b"x"))
    reason, message = refusal(unpack, data, f"a.{pack}", tmp_path / "out")
    assert reason is FailureReason.MODEL_INVALID
    assert "leaves the folder or is too deep" in message
    assert not (tmp_path / "evil").exists()


@pytest.mark.parametrize("kind", [tarfile.SYMTYPE, tarfile.LNKTYPE, tarfile.FIFOTYPE])
def test_no_links_in_a_tar(kind: bytes, tmp_path: Path) -> None:
    _, message = refusal(unpack, tar_of(("a", b"x"), kind=kind), "a.tar", tmp_path / "out")
    assert "link or a device" in message


def test_no_links_in_a_zip(tmp_path: Path) -> None:
    data = zip_of(("a", b"/etc/passwd"), mode=stat.S_IFLNK | 0o777)
    assert "link or a device" in refusal(unpack, data, "a.zip", tmp_path / "out")[1]


def test_a_bomb_is_stopped(tmp_path: Path) -> None:
    limits = ArchiveLimits(ratio=10, ratio_free_bytes=1000)
    data = zip_of(("zeros", bytes(10_000_000)))
    assert "unpacks to more than" in refusal(unpack, data, "a.zip", tmp_path / "out", limits)[1]


def test_too_many_entries(tmp_path: Path) -> None:
    data = zip_of(*((f"f{n}", b"") for n in range(11)))
    limits = ArchiveLimits(files=10)
    assert "more than 10 entries" in refusal(unpack, data, "a.zip", tmp_path / "out", limits)[1]


def test_one_name_twice(tmp_path: Path) -> None:
    data = tar_of(("a", b"1"), ("a", b"2"))
    assert "'a' twice" in refusal(unpack, data, "a.tar", tmp_path / "out")[1]


@pytest.mark.parametrize("pack", ["tar", "zip"])
@pytest.mark.parametrize("under", ["a/b", "a/b/c"])
def test_a_file_where_a_folder_would_be(under: str, pack: str, tmp_path: Path) -> None:
    members = ("a", b"1"), (under, b"2")
    data = tar_of(*members) if pack == "tar" else zip_of(*members)
    reason, message = refusal(unpack, data, f"a.{pack}", tmp_path / "out")
    assert reason is FailureReason.MODEL_INVALID
    assert f"{under!r}, and a file where its folder would be" in message


def headed_tar(kind: bytes, size: int) -> bytes:
    """A tar whose one entry has a header of `size` zeros before it."""
    header = tarfile.TarInfo("long")
    header.type, header.size = kind, size
    return gzip.compress(header.tobuf() + bytes(size) + tarfile.TarInfo("a").tobuf())


@pytest.mark.parametrize("kind", [tarfile.XHDTYPE, tarfile.XGLTYPE, tarfile.GNUTYPE_LONGNAME])
def test_a_tars_headers_are_bounded(kind: bytes, tmp_path: Path) -> None:
    data = headed_tar(kind, 512 * 1024)
    assert "a header of more than" in refusal(unpack, data, "a.tar.gz", tmp_path / "out")[1]


def test_what_a_tar_does_not_write_counts_too(tmp_path: Path) -> None:
    limits = ArchiveLimits(ratio=1, ratio_free_bytes=100_000)
    data = headed_tar(tarfile.GNUTYPE_LONGNAME, 200 * 1024)
    message = refusal(unpack, data, "a.tar.gz", tmp_path / "out", limits)[1]
    assert "unpacks to more than 100000" in message


@pytest.mark.parametrize("squeeze", [bz2.compress, lzma.compress])
def test_a_tar_is_known_by_its_bytes(squeeze: Callable[[bytes], bytes], tmp_path: Path) -> None:
    plain = gzip.decompress(tar_of(("n" * 200, b"abc")))
    unpack(squeeze(plain), "a.tar", tmp_path / "out")
    assert (tmp_path / "out" / ("n" * 200)).read_bytes() == b"abc"
    damaged = squeeze(plain)[:-20]
    assert "damaged" in refusal(unpack, damaged + b"x" * 20, "a.tar", tmp_path / "again")[1]


@pytest.mark.parametrize("cut", [0, 1, 40, -30])
@pytest.mark.parametrize("name", ["a.zip", "a.tar.gz"])
def test_a_damaged_archive(name: str, cut: int, tmp_path: Path) -> None:
    members = ("a", os.urandom(5000))
    data = zip_of(members) if name == "a.zip" else tar_of(members)
    reason, message = refusal(unpack, data[:cut], name, tmp_path / "out")
    assert reason is FailureReason.MODEL_INVALID
    assert "damaged" in message


# -- a server that breaks off


class Store(ThreadingHTTPServer):
    daemon_threads = True
    body = BODY
    breaks: int = 0
    """How many of the next answers end half way."""
    knows_range: bool = True
    statuses: list[int]
    """Answered first, one each."""
    ranges: list[str | None]
    etag: str | None = '"v1"'
    sent: int = 0
    """How many answers had a body."""


class Handler(BaseHTTPRequestHandler):
    server: Store
    protocol_version = "HTTP/1.1"

    def do_GET(self) -> None:
        store = self.server
        store.ranges.append(self.headers.get("Range"))
        if store.statuses:
            self.send_response(store.statuses.pop(0))
            self.send_header("Content-Length", "0")
            self.end_headers()
            return
        if store.etag and self.headers.get("If-None-Match") == store.etag:
            self.send_response(304)
            self.end_headers()
            return
        store.sent += 1
        start = 0
        wanted = self.headers.get("Range") if store.knows_range else None
        if wanted and self.headers.get("If-Range") == '"v1"':
            start = int(wanted.removeprefix("bytes=").rstrip("-"))
        rest = store.body[start:]
        self.send_response(206 if start else 200)
        if start:
            span = f"bytes {start}-{len(store.body) - 1}/{len(store.body)}"
            self.send_header("Content-Range", span)
        if store.etag:
            self.send_header("ETag", store.etag)
        self.send_header("Last-Modified", "Mon, 23 Nov 2026 10:00:00 GMT")
        self.send_header("Content-Length", str(len(rest)))
        self.end_headers()
        if store.breaks:
            store.breaks -= 1
            parts = 2 if store.knows_range else 2 + store.breaks % 2  # now further, now less
            self.wfile.write(rest[: len(rest) // parts])
            self.close_connection = True
        else:
            self.wfile.write(rest)

    def log_message(self, *_: object) -> None:
        pass


@pytest.fixture
def store() -> Iterator[Store]:
    server = Store(("127.0.0.1", 0), Handler)
    server.statuses, server.ranges = [], []
    thread = threading.Thread(target=server.serve_forever, args=(0.01,), daemon=True)
    thread.start()
    yield server
    server.shutdown()
    server.server_close()
    thread.join()


def url(store: Store, name: str) -> str:
    return f"http://127.0.0.1:{store.server_address[1]}/{name}"


def test_downloaded(store: Store, tmp_path: Path) -> None:
    download(url(store, "m.onnx"), tmp_path / "m", QUICK)
    assert (tmp_path / "m").read_bytes() == BODY


def test_a_broken_download_goes_on_where_it_stopped(store: Store, tmp_path: Path) -> None:
    store.breaks = 4  # more than the tries: progress starts the count again
    download(url(store, "m.onnx"), tmp_path / "m", QUICK)
    assert (tmp_path / "m").read_bytes() == BODY
    assert store.ranges[0] is None
    assert store.ranges[1] == f"bytes={len(BODY) // 2}-"


def test_the_same_bytes_again_are_no_progress(store: Store, tmp_path: Path) -> None:
    store.knows_range = False
    store.breaks = 20
    reason, message = refusal(download, url(store, "m.onnx"), tmp_path / "m", QUICK)
    assert reason is FailureReason.MODEL_UNREACHABLE
    assert "(3 tries)" in message
    assert len(store.ranges) == 5


def test_a_server_that_is_busy_is_asked_again_and_not_for_ever(
    store: Store, tmp_path: Path
) -> None:
    store.statuses = [503, 429]
    download(url(store, "m.onnx"), tmp_path / "m", QUICK)
    store.statuses = [503] * 3
    reason, message = refusal(download, url(store, "m.onnx"), tmp_path / "m", QUICK)
    assert reason is FailureReason.MODEL_UNREACHABLE
    assert "answers 503 (3 tries)" in message


@pytest.mark.parametrize(
    ("status", "reason"),
    [
        (404, FailureReason.MODEL_NOT_FOUND),
        (403, FailureReason.MODEL_UNREACHABLE),
        (401, FailureReason.MODEL_UNREACHABLE),
    ],
)
def test_a_refusal_is_believed_at_once(
    status: int, reason: FailureReason, store: Store, tmp_path: Path
) -> None:
    store.statuses = [status]
    assert refusal(download, url(store, "m.onnx"), tmp_path / "m", QUICK)[0] is reason
    assert len(store.ranges) == 1


def test_more_than_is_allowed(store: Store, tmp_path: Path) -> None:
    small = Patience(max_bytes=1000)
    assert "larger than 1000" in refusal(download, url(store, "m"), tmp_path / "m", small)[1]


def test_nobody_listens(tmp_path: Path) -> None:
    reason, _ = refusal(download, "http://127.0.0.1:9/m", tmp_path / "m", QUICK)
    assert reason is FailureReason.MODEL_UNREACHABLE


def test_fetched_once_and_whole(store: Store, tmp_path: Path) -> None:
    store.body = tar_of(("m/model.onnx", b"abc"))
    source = ModelSource(uri=url(store, "m.tar.gz"), digest=sha256(store.body))
    folder = tmp_path / "package"
    fetch(source, folder, QUICK)
    fetch(source, folder, QUICK)
    assert (folder / "m" / "model.onnx").read_bytes() == b"abc"
    assert len(store.ranges) == 1
    store.body = b"another"
    changed = ModelSource(uri=url(store, "n%20m.onnx"), digest=sha256(b"another"))
    fetch(changed, folder, QUICK)
    assert [file.name for file in folder.iterdir()] == ["n m.onnx"]
    assert {file.name for file in tmp_path.iterdir()} == {"package", ".package.json"}


@pytest.mark.parametrize(
    ("etag", "later", "sent"),
    [
        ('"v1"', '"v1"', 1),
        ('"v1"', '"v2"', 2),
        ('"v1"', None, 2),
        ('W/"v1"', 'W/"v1"', 2),
        (None, None, 2),  # the date is the same, as of a file that an older one has replaced
    ],
)
def test_an_address_without_a_digest_is_asked_again(
    etag: str | None, later: str | None, sent: int, store: Store, tmp_path: Path
) -> None:
    source = ModelSource(uri=url(store, "m.onnx"))
    folder = tmp_path / "package"
    store.etag, store.body = etag, b"first"
    fetch(source, folder, QUICK, revalidate=True)
    if sent == 2:
        store.body = b"second"
    store.etag = later
    fetch(source, folder, QUICK, revalidate=True)
    assert (folder / "m.onnx").read_bytes() == store.body
    assert store.sent == sent


def test_what_a_pod_has_fetched_stays(store: Store, tmp_path: Path) -> None:
    source = ModelSource(uri=url(store, "m.onnx"))
    fetch(source, tmp_path / "package", QUICK)
    store.etag, store.body = '"v2"', b"another"
    fetch(source, tmp_path / "package", QUICK)
    assert (tmp_path / "package" / "m.onnx").read_bytes() == BODY
    assert len(store.ranges) == 1


def test_a_digest_needs_no_asking(store: Store, tmp_path: Path) -> None:
    source = ModelSource(uri=url(store, "m.onnx"), digest=sha256(BODY))
    fetch(source, tmp_path / "package", QUICK, revalidate=True)
    fetch(source, tmp_path / "package", QUICK, revalidate=True)
    assert len(store.ranges) == 1


def test_what_cannot_be_asked_again_is_not_served(store: Store, tmp_path: Path) -> None:
    source = ModelSource(uri=url(store, "m.onnx"))
    fetch(source, tmp_path / "package", QUICK, revalidate=True)
    store.statuses = [404]
    with pytest.raises(CannotServe) as caught:
        fetch(source, tmp_path / "package", QUICK, revalidate=True)
    assert caught.value.failure.reason is FailureReason.MODEL_NOT_FOUND


def test_a_full_disk(store: Store, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def full(*_: object) -> None:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    monkeypatch.setattr(Path, "rename", full)
    source = ModelSource(uri=url(store, "m.onnx"))
    reason, message = refusal(fetch, source, tmp_path / "package", QUICK)
    assert reason is FailureReason.MODEL_UNREACHABLE
    assert f"m.onnx cannot be stored at {tmp_path / 'package'}" in message
    assert "No space left on device" in message


def test_a_wrong_digest_unpacks_nothing(store: Store, tmp_path: Path) -> None:
    store.body = tar_of(("m/model.onnx", b"abc"))
    source = ModelSource(uri=url(store, "m.tar.gz"), digest=sha256(b"other"))
    reason, message = refusal(fetch, source, tmp_path / "package", QUICK)
    assert reason is FailureReason.DIGEST_MISMATCH
    assert sha256(b"other") in message
    assert list(tmp_path.iterdir()) == []


def test_the_digest_of_a_file_and_of_a_folder(tmp_path: Path) -> None:
    file = tmp_path / "m"
    file.write_bytes(b"abc")
    digest.verify(file, sha256(b"abc"), "file:///m")
    assert refusal(digest.verify, file, sha256(b"x"), "file:///m")[0] is (
        FailureReason.DIGEST_MISMATCH
    )
    assert "is a folder" in refusal(digest.verify, tmp_path, sha256(b""), "file:///")[1]
