"""What a call's metadata ask of the server."""

from modelfleet_runtime.errors import BadInput

TIMEOUT = b"grpc-timeout"
ENCODING = b"grpc-encoding"
_SECONDS = {b"H": 3600.0, b"M": 60.0, b"S": 1.0, b"m": 1e-3, b"u": 1e-6, b"n": 1e-9}
_MOST_DIGITS = 8


def time_limit(metadata: dict[bytes, bytes]) -> float | None:
    """Seconds from the call's arrival; None where the client sets none. Raises `BadInput`."""
    given = metadata.get(TIMEOUT)
    if given is None:
        return None
    unit, digits = _SECONDS.get(given[-1:]), given[:-1]
    if unit is None or not digits.isdigit() or len(digits) > _MOST_DIGITS:
        raise BadInput("grpc-timeout is not a number of at most 8 digits and one of H M S m u n")
    return int(digits) * unit
