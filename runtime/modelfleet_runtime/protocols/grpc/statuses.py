"""What a refusal is called in gRPC, and how it stands in a call's trailers.

A full queue is UNAVAILABLE, as with Triton: that is what clients and service meshes try again
elsewhere. RESOURCE_EXHAUSTED, which they do not, is for what no other server would take either.
"""

from enum import IntEnum

from modelfleet_runtime.errors import Refusal


class Status(IntEnum):
    OK = 0
    CANCELLED = 1
    UNKNOWN = 2
    INVALID_ARGUMENT = 3
    DEADLINE_EXCEEDED = 4
    NOT_FOUND = 5
    RESOURCE_EXHAUSTED = 8
    FAILED_PRECONDITION = 9
    UNIMPLEMENTED = 12
    INTERNAL = 13
    UNAVAILABLE = 14


OF_HTTP: dict[int, Status] = {
    200: Status.OK,
    400: Status.INVALID_ARGUMENT,
    404: Status.NOT_FOUND,
    405: Status.UNIMPLEMENTED,
    408: Status.DEADLINE_EXCEEDED,
    413: Status.RESOURCE_EXHAUSTED,
    415: Status.UNIMPLEMENTED,
    499: Status.CANCELLED,
    500: Status.INTERNAL,
    501: Status.UNIMPLEMENTED,
    503: Status.UNAVAILABLE,
    504: Status.DEADLINE_EXCEEDED,
}
LONGEST_DETAIL = 1024
"""Characters: some clients take no trailers above 8 KiB, and percent-encoding makes nine of one."""


def status_of(refusal: Refusal) -> Status:
    return OF_HTTP.get(refusal.status, Status.INTERNAL)


def encoded(detail: str) -> bytes:
    """For the trailer grpc-message: UTF-8, and percent-encoded but for printable ASCII."""
    raw = detail[:LONGEST_DETAIL].encode("utf-8", "replace")
    if raw.isascii() and b"%" not in raw and detail.isprintable():
        return raw
    return b"".join(
        bytes((byte,)) if 0x20 <= byte < 0x7F and byte != 0x25 else b"%%%02X" % byte for byte in raw
    )
