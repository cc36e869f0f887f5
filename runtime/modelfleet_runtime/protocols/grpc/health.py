"""Messages of the gRPC health checking protocol."""

from enum import IntEnum
from typing import Final

from modelfleet_runtime.protocols.grpc.wire import field

SERVICE: Final = "grpc.health.v1.Health"


class Serving(IntEnum):
    SERVING = 1
    NOT_SERVING = 2
    SERVICE_UNKNOWN = 3


def response(serving: Serving) -> bytes:
    """A HealthCheckResponse."""
    return bytes((0x08, serving))


def list_response(statuses: dict[str, Serving]) -> bytes:
    """A HealthListResponse."""
    return b"".join(
        field(1, field(1, name.encode()) + field(2, response(serving)))
        for name, serving in statuses.items()
    )


def service_of(request: bytes) -> str:
    """What a HealthCheckRequest asks for. Raises `BadInput`."""
    from google.protobuf.message import DecodeError

    from modelfleet_runtime.errors import BadInput
    from modelfleet_runtime.protocols.grpc.messages import health_pb2 as pb

    try:
        return pb.HealthCheckRequest.FromString(request).service
    except DecodeError as error:
        raise BadInput("the message is not a HealthCheckRequest") from error
