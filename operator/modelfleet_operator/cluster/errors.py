"""What the API server can answer, as the operator tells it apart."""


class ApiError(Exception):
    """The base of all; the message is for a log."""


class NotFound(ApiError):
    """There is no such object."""


class Conflict(ApiError):
    """The object changed since it was read, or is already there."""


class Refused(ApiError):
    """The API server does not take it: invalid, forbidden, over a quota. The message is its own."""


class Unavailable(ApiError):
    """The API server does not answer, or asks to come back later."""

    def __init__(self, message: str, retry_after: float | None = None) -> None:
        super().__init__(message)
        self.retry_after = retry_after
