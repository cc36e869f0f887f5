"""The two headers that choose a format."""

from typing import Any

from ..constants import prediction


def get_content_type_from_headers(headers: Any) -> str | None:
    """Without its parameters."""
    for key, value in (headers or {}).items():
        if prediction.CONTENT_TYPE_HEADER_REGEX.match(key):
            return str(value).partition(";")[0]
    return None


def get_accept_from_headers(headers: Any) -> str:
    for key, value in (headers or {}).items():
        if prediction.ACCEPT_HEADER_REGEX.match(key):
            return str(value)
    return prediction.DEFAULT_ACCEPT_VALUE


def parse_accept_header(accept_header: str | None) -> dict[str, float]:
    """Each media type with its weight."""
    weights = {}
    for part in accept_header.split(",") if accept_header else []:
        kind, *parameters = part.split(";")
        weight = parameters[0].split("=")[1] if parameters else "1"
        weights[kind.strip()] = float(weight)
    return weights
