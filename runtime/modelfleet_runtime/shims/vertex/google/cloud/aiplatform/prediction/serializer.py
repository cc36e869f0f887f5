"""Bodies to values and back."""

import json
from abc import ABC, abstractmethod
from typing import Any

from fastapi import HTTPException

from ..constants import prediction as constants
from . import handler_utils

APPLICATION_JSON = "application/json"


class Serializer(ABC):
    @staticmethod
    @abstractmethod
    def deserialize(data: Any, content_type: str | None) -> Any:
        """A request's body."""

    @staticmethod
    @abstractmethod
    def serialize(prediction: Any, accept: str | None) -> Any:
        """An answer's body."""


class DefaultSerializer(Serializer):
    @staticmethod
    def deserialize(data: Any, content_type: str | None) -> Any:
        if content_type != APPLICATION_JSON:
            raise _refused(f"Unsupported content type of the request: {content_type}", _SENT, "")
        try:
            return json.loads(data)
        except (ValueError, RecursionError):
            raise _refused(
                f"JSON deserialization failed for the request data: {data}", _SENT, _TYPE
            ) from None

    @staticmethod
    def serialize(prediction: Any, accept: str | None) -> Any:
        kinds = handler_utils.parse_accept_header(accept)
        if APPLICATION_JSON not in kinds and constants.ANY_ACCEPT_TYPE not in kinds:
            raise _refused(f"Unsupported accept of the response: {accept}", _WANTED, "")
        try:
            return json.dumps(prediction)
        except TypeError:
            raise _refused(
                f"JSON serialization failed for the prediction result: {prediction}",
                _WANTED,
                _ACCEPT,
            ) from None


_SENT = f'Currently supported content-type in DefaultSerializer: "{APPLICATION_JSON}".'
_WANTED = f'Currently supported accept in DefaultSerializer: "{APPLICATION_JSON}".'
_TYPE = 'To specify a different type, please set the "content-type" header in the request.\n'
_ACCEPT = 'To specify a different type, please set the "accept" header in the request.\n'


def _refused(what: str, supported: str, instead: str) -> HTTPException:
    return HTTPException(status_code=400, detail=f"{what}.\n{instead}{supported}")
