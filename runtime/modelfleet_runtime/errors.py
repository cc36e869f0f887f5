"""What can go wrong, as types: what one client hears (`Refusal`), and why nothing is served.

Refusal                     status
  BadInput                  400     the caller's fault; the message says what and where
  NotFound                  404
  MethodNotAllowed          405
  BodyTimeout               408     the body did not arrive within the request's time
  TooLarge                  413
  UnsupportedEncoding       415
  ClientLeft                499     nobody hears it; it is counted
  EngineBroken              500     the model's or our fault; the log has the details
    EngineCrashed           500     it took the process along that ran it; there are others
    EngineDead              500     and nothing will run here again: liveness fails
  NotReady, QueueFull,
  OutOfMemory               503     try again, with Retry-After
  DeadlinePassed            504
CannotServe                 ends the process, with a sentence for the termination log
"""

from enum import StrEnum
from typing import ClassVar

from modelfleet_contract import Failure, FailureReason


class Limit(StrEnum):
    """A bound that a request or a connection can go beyond."""

    BODY = "body"
    """The size of one body."""
    BODIES = "bodies"
    """The size of all bodies that are held."""
    HEAD = "head"
    """The size of a URL and its headers."""
    JSON_DEPTH = "json_depth"
    DECOMPRESSION = "decompression"
    """How much larger a body may become."""
    PIXELS = "pixels"
    """The size of an image that a model's code opens."""
    CONNECTIONS = "connections"
    QUEUE = "queue"
    """Requests, bytes, or time that would be waited."""


class Refusal(Exception):
    """An answer other than the model's. The message is meant for the client: one sentence."""

    def __init__(self, message: str = "", limit: Limit | None = None) -> None:
        super().__init__(message)
        if limit is not None:
            self.limit = limit

    status: ClassVar[int] = 500
    limit: Limit | None = None
    """The bound that was met, to be counted."""
    retry_after: ClassVar[int | None] = None
    """Seconds, for the Retry-After header; None for no header."""

    @property
    def message(self) -> str:
        return str(self.args[0]) if self.args and self.args[0] else type(self).__name__


class BadInput(Refusal):
    status = 400


class NotFound(Refusal):
    status = 404


class MethodNotAllowed(Refusal):
    status = 405

    def __init__(self, allowed: str) -> None:
        super().__init__(f"method not allowed; use {allowed}")
        self.allowed = allowed


class BodyTimeout(Refusal):
    status = 408


class TooLarge(Refusal):
    status = 413
    limit = Limit.BODY


class UnsupportedEncoding(Refusal):
    status = 415


class ClientLeft(Refusal):
    status = 499


class EngineBroken(Refusal):
    status = 500


class EngineCrashed(EngineBroken):
    """The process that had the batch is gone; another takes its place."""


class EngineDead(EngineBroken):
    """The device's context is lost, or all processes of the model are gone for good."""


class NotReady(Refusal):
    status = 503
    retry_after = 1


class QueueFull(Refusal):
    status = 503
    limit = Limit.QUEUE
    retry_after = 1


class OutOfMemory(Refusal):
    status = 503
    retry_after = 1


class DeadlinePassed(Refusal):
    status = 504


EXIT_CODES: dict[FailureReason, int] = {
    FailureReason.CRASHED: 1,
    FailureReason.DOCUMENT_INVALID: 10,
    FailureReason.MODEL_NOT_FOUND: 11,
    FailureReason.MODEL_UNREACHABLE: 12,
    FailureReason.DIGEST_MISMATCH: 13,
    FailureReason.MODEL_INVALID: 14,
    FailureReason.WARM_UP_FAILED: 15,
    FailureReason.OUT_OF_MEMORY: 16,
    FailureReason.UNSUPPORTED: 17,
}
"""The process's exit code for each reason. 0 is a drain that ended well; 2 is argparse's."""


class CannotServe(Exception):
    """Nothing will be served by this process; one sentence says why."""

    def __init__(self, reason: FailureReason, message: str) -> None:
        super().__init__(message)
        self.failure = Failure(reason=reason, message=message)

    @property
    def exit_code(self) -> int:
        return EXIT_CODES[self.failure.reason]


def one_line(error: BaseException, longest: int = 300) -> str:
    """The message of a foreign exception as part of a sentence: no line breaks, bounded."""
    text = " ".join(str(error).split()) or type(error).__name__
    return text if len(text) <= longest else text[: longest - 1] + "…"
