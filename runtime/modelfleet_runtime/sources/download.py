"""One http(s) address to one file: bounded, resumed after a break, given up when nothing comes.

A break in the middle of 10 GB costs what was not yet received: the next try asks for the rest by
Range, on the condition (If-Range) that the file is still the same one.
"""

import logging
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import httpx

from modelfleet_contract import FailureReason
from modelfleet_runtime.errors import CannotServe, one_line

log = logging.getLogger("modelfleet.fetch")

RETRIED = frozenset({408, 425, 429, 500, 502, 503, 504})


@dataclass(frozen=True, slots=True)
class Patience:
    """How long to try."""

    tries: int = 6
    """In a row without progress; a byte beyond all that came before starts the count again."""
    first_pause: float = 1.0
    """Seconds; doubled for each try in a row."""
    longest_pause: float = 30.0
    stall: float = 60.0
    """Seconds without a byte after which a connection is given up."""
    connect: float = 15.0
    max_bytes: int = 256 * 1024**3
    report_every: float = 5.0
    """Seconds between two lines of progress in the log."""


class NotChanged(Exception):
    """The bytes at the address are those that are held."""


def download(
    url: str,
    to: Path,
    patience: Patience | None = None,
    sleep: Callable[[float], None] = time.sleep,
    held: str | None = None,
) -> str | None:
    """The bytes at `url` into the file `to`, which is made or written anew. The result is their
    ETag, None where the server gives none that stands for the very bytes.

    `held` is the ETag of bytes that came before: where they are still the same, nothing is sent
    again, and `NotChanged` is raised.

    Raises `CannotServe`: ModelNotFound for 404 and 410, ModelUnreachable for the rest.
    """
    patience = patience or Patience()
    progress = _Progress(patience, url, held)
    to.unlink(missing_ok=True)
    misses = 0
    timeout = httpx.Timeout(patience.stall, connect=patience.connect)
    with httpx.Client(timeout=timeout, follow_redirects=True) as client:
        while True:
            had = progress.furthest
            try:
                if _once(client, url, to, progress):
                    return progress.etag
                why = f"the connection ended after {progress.received} bytes"
            except httpx.TimeoutException:
                why = f"nothing came for {patience.stall:g} s"
            except httpx.TransportError as error:
                why = one_line(error)
            except _TryAgain as again:
                why = str(again)
            except (httpx.HTTPError, httpx.InvalidURL) as error:
                raise _unreachable(url, one_line(error)) from error
            misses = 0 if progress.furthest > had else misses + 1
            if misses >= patience.tries:
                raise _unreachable(url, f"{why} ({misses} tries)")
            pause = min(patience.first_pause * 2 ** max(misses - 1, 0), patience.longest_pause)
            log.warning("fetching %s: %s; trying again in %g s", url, why, pause)
            sleep(pause)


class _TryAgain(Exception):
    pass


class _Progress:
    """What has come so far, and what proves that a later answer goes on with the same file."""

    def __init__(self, patience: Patience, url: str, held: str | None) -> None:
        self.patience = patience
        self.url = url
        self.held = held
        self.etag: str | None = None
        self.received = 0
        self.furthest = 0  # a server without Range starts at 0 again, and that is no progress
        self.total: int | None = None
        self.mark: str | None = None
        self._reported = time.monotonic()

    def add(self, count: int) -> None:
        self.received += count
        self.furthest = max(self.furthest, self.received)
        if self.received > self.patience.max_bytes:
            raise _unreachable(self.url, f"it is larger than {self.patience.max_bytes} bytes")
        now = time.monotonic()
        if now - self._reported >= self.patience.report_every:
            self._reported = now
            of = f" of {self.total / 1e6:.0f}" if self.total else ""
            log.info("fetching %s: %.0f%s MB", self.url, self.received / 1e6, of)


def _once(client: httpx.Client, url: str, to: Path, progress: _Progress) -> bool:
    """One request. True when the file is complete, False when the connection ended early."""
    # Identity: a Range counts encoded bytes, and a digest names the bytes as they are stored.
    headers = {"accept-encoding": "identity"}
    if progress.received and progress.mark:
        headers |= {"range": f"bytes={progress.received}-", "if-range": progress.mark}
    elif progress.held is not None:
        # By its ETag alone: a date says "not changed" of a file that an older one has replaced.
        headers["if-none-match"] = progress.held
    with client.stream("GET", url, headers=headers) as answer:
        if answer.status_code == 304 and "if-none-match" in headers:
            raise NotChanged
        if answer.status_code in (404, 410):
            raise CannotServe(
                FailureReason.MODEL_NOT_FOUND, f"{url} answers {answer.status_code}: not there"
            )
        if answer.status_code in RETRIED:
            raise _TryAgain(f"it answers {answer.status_code}")
        resumed = answer.status_code == 206 and _starts_at(answer, progress.received)
        if answer.status_code == 206 and not resumed:
            progress.received, progress.mark = 0, None
            raise _TryAgain("it answers with another part than was asked for")
        if answer.status_code not in (200, 206):
            raise _unreachable(url, f"it answers {answer.status_code}")
        if not resumed:
            progress.received = 0
            etag = answer.headers.get("etag") or None
            progress.mark = etag or answer.headers.get("last-modified")
            if etag is not None and etag.startswith("W/"):
                etag = progress.mark = None  # a weak tag does not promise the same bytes
            progress.etag = etag
            length = answer.headers.get("content-length", "")
            progress.total = int(length) if length.isdigit() else None
            if progress.total is not None and progress.total > progress.patience.max_bytes:
                raise _unreachable(url, f"it is larger than {progress.patience.max_bytes} bytes")
        with to.open("ab" if resumed else "wb") as out:
            # No chunk size: a last, smaller chunk would be lost with the connection.
            for chunk in answer.iter_raw():
                out.write(chunk)
                progress.add(len(chunk))
    return progress.total is None or progress.received == progress.total


def _starts_at(answer: httpx.Response, position: int) -> bool:
    found: str = answer.headers.get("content-range", "")
    return found.startswith(f"bytes {position}-")


def _unreachable(url: str, why: str) -> CannotServe:
    return CannotServe(FailureReason.MODEL_UNREACHABLE, f"{url} cannot be fetched: {why}")
