"""The answer to a request that wants to go on in another protocol: no, on any route."""

from typing import Any

from uvicorn._types import ASGI3Application

from modelfleet_runtime import incoming
from modelfleet_runtime.errors import BadInput
from modelfleet_runtime.limits import RequestLimits
from modelfleet_runtime.protocols.simple import routes as simple

NOT_UPGRADED = BadInput("connections are not upgraded here; send the request without Upgrade")


def refusing(limits: RequestLimits) -> ASGI3Application:
    """Answers 400 as every protocol here words it, and ends the connection."""

    async def refuse(scope: Any, _receive: Any, send: Any) -> None:
        answer = simple.refuse(NOT_UPGRADED)
        headers = [
            *answer.headers,
            (b"content-length", b"%d" % answer.length),
            (incoming.REQUEST_ID_HEADER, incoming.request_id(dict(scope["headers"]), limits)),
            (b"connection", b"close"),
        ]
        await send({"type": "http.response.start", "status": answer.status, "headers": headers})
        await send({"type": "http.response.body", "body": answer.body})

    return refuse
