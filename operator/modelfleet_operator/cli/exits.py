"""How the program ends."""

from enum import IntEnum


class ExitCode(IntEnum):
    OK = 0
    FAILED = 1
    """Refused, out of time, or the rollout failed or was rolled back."""
    USAGE = 2
    NOT_FOUND = 3
    UNREACHABLE = 4
    """The cluster does not answer, or nothing says where it is."""
    INTERRUPTED = 130
    CLOSED = 141
    """Whoever read the output has gone, as a shell counts SIGPIPE."""


class Refusal(Exception):
    """What was asked for has no sense at this moment; the message says what has."""


class Missing(Exception):
    """There is no such thing in the cluster."""
