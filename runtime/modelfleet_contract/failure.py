"""Why a pod does not serve, in words that reach the ModelDeployment's status.

The runtime writes one `Failure` as a line of JSON to the container's termination log; the operator
reads it from the pod's status. Whatever else stands there (another server's image, a crash below
Python) reads as reason `Crashed` with the text as it is.
"""

from enum import StrEnum
from typing import Final

from pydantic import Field, ValidationError

from modelfleet_contract.base import Shared

LONGEST_MESSAGE: Final = 2048
"""Characters of what was not written by the runtime; a condition holds 32768."""
LONGEST_LINE: Final = 4000
"""Bytes; the kubelet keeps 4096 of the termination log."""


class FailureReason(StrEnum):
    """What kept the model from being served. Each is a condition's reason as it stands."""

    DOCUMENT_INVALID = "DocumentInvalid"
    """The document that says what to serve cannot be read."""
    MODEL_NOT_FOUND = "ModelNotFound"
    """There is nothing at the model's address."""
    MODEL_UNREACHABLE = "ModelUnreachable"
    """The model's address does not answer, or refuses."""
    DIGEST_MISMATCH = "DigestMismatch"
    """The bytes at the address are not those that the digest names."""
    MODEL_INVALID = "ModelInvalid"
    """The package is there and cannot be loaded: damaged, incomplete, or of no known format."""
    WARM_UP_FAILED = "WarmUpFailed"
    """The model was loaded, and fails on the input that it declares."""
    OUT_OF_MEMORY = "OutOfMemory"
    """The model needs more memory than the container may have."""
    UNSUPPORTED = "Unsupported"
    """This image cannot serve that format (such as TorchScript without torch)."""
    CRASHED = "Crashed"
    """The server ended by itself; the message is the last that it said."""


class Failure(Shared):
    """One sentence on why this pod does not serve."""

    reason: FailureReason
    message: str = Field(min_length=1)

    def to_termination_log(self) -> str:
        """One line that survives the kubelet's bound, shortened where it has to be."""
        message = self.message
        while True:
            line = self.model_copy(update={"message": message}).model_dump_json(by_alias=True)
            over = len(line.encode()) - LONGEST_LINE
            if over <= 0:
                return line
            # Escapes make a character up to six bytes long, so this may take more than one turn.
            message = message[: len(message) - max(1, over // 6)]

    @classmethod
    def from_termination_log(cls, text: str) -> "Failure | None":
        """None when nothing was said."""
        stripped = text.strip()
        if not stripped:
            return None
        try:
            return cls.model_validate_json(stripped.rpartition("\n")[2])
        except ValidationError:
            return cls(reason=FailureReason.CRASHED, message=stripped[-LONGEST_MESSAGE:])
