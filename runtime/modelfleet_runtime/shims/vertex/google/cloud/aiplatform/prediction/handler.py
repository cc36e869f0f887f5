"""What is given each request."""

import logging
from abc import ABC, abstractmethod
from typing import Any

from fastapi import HTTPException, Request, Response

from . import handler_utils
from .predictor import Predictor
from .serializer import DefaultSerializer

log = logging.getLogger(__name__)


class Handler(ABC):
    @abstractmethod
    def __init__(self, artifacts_uri: str, predictor: type[Predictor] | None = None) -> None:
        """`artifacts_uri` is AIP_STORAGE_URI."""

    @abstractmethod
    def handle(self, request: Request) -> Any:
        """The response, usually of a coroutine."""


class PredictionHandler(Handler):
    """JSON in, through the predictor's three steps, JSON out."""

    def __init__(self, artifacts_uri: str, predictor: type[Predictor] | None = None) -> None:
        if predictor is None:
            raise ValueError(
                "PredictionHandler must have a predictor class passed to the init function."
            )
        self._predictor = predictor()
        self._predictor.load(artifacts_uri)

    async def handle(self, request: Request) -> Response:
        body = await request.body()
        content_type = handler_utils.get_content_type_from_headers(request.headers)
        given = DefaultSerializer.deserialize(body, content_type)
        predictor = self._predictor
        try:
            results = predictor.postprocess(predictor.predict(predictor.preprocess(given)))
        except HTTPException:
            raise
        except Exception as error:
            told = (
                f"The following exception has occurred: {type(error).__name__}. "
                f"Arguments: {error.args}."
            )
            log.error("the predictor failed", exc_info=error)
            raise HTTPException(status_code=500, detail=told) from error
        accept = handler_utils.get_accept_from_headers(request.headers)
        return Response(content=DefaultSerializer.serialize(results, accept), media_type=accept)
