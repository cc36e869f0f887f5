"""A handler of its own: the request in, a response out."""

import json
from typing import Any

from fastapi import HTTPException, Request, Response
from fastapi.responses import JSONResponse, PlainTextResponse, StreamingResponse
from google.cloud.aiplatform.prediction.handler import Handler


class Own(Handler):
    def __init__(self, artifacts_uri: str, predictor: Any = None) -> None:
        self.predictor = predictor()
        self.predictor.load(artifacts_uri)

    async def handle(self, request: Request) -> Any:
        what = request.query_params.get("do")
        body = await request.body()
        if what == "text":
            return PlainTextResponse("hello", 203, {"x-mine": request.headers.get("x-mine", "")})
        if what == "bytes":
            return Response(bytes(range(256)), media_type="image/x")
        if what == "stream":
            return StreamingResponse(iter([b"a", b"b"]), media_type="text/x")
        if what == "http":
            raise HTTPException(429, "slow down")
        if what == "raise":
            raise ValueError("boom", 3)
        if what == "json":
            return JSONResponse(await request.json())
        if what == "length":
            return Response(str(len(body)))
        return Response(json.dumps(self.predictor.predict(json.loads(body))))
