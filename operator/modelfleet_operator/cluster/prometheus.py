"""The Prometheus of the installation, asked for one number at a time.

Its address is the operator's, never a resource's: else whoever writes one could have the operator
ask any server that it reaches. Nothing raises here. That there is no number is an answer, which a
rollout waits for or not, as its spec says.
"""

import asyncio
import json
import logging
import math
from collections.abc import Iterable
from pathlib import Path

import aiohttp

from modelfleet_operator.seen import Answer, Json

log = logging.getLogger("modelfleet.prometheus")

_TIMEOUT_S = 5.0
_MOST_BYTES = 64 * 1024
"""Of one answer: one number has some 100 bytes, and a hundred series are a mistake."""
_MOST_SAID = 300
"""Characters of what it says of its own."""
_AT_ONCE = 16
"""Connections, over all rollouts."""


class PrometheusApi:
    """One pool of connections to it."""

    def __init__(
        self, url: str, token_file: str | Path | None = None, *, timeout_s: float = _TIMEOUT_S
    ) -> None:
        """`url`: with whatever stands before `/api/v1`. `token_file`: of the bearer token, which is
        read at each request, because it may be exchanged."""
        self._url = f"{url.rstrip('/')}/api/v1/query"
        self._token_file = Path(token_file) if token_file else None
        self._timeout = aiohttp.ClientTimeout(total=timeout_s)
        self._session: aiohttp.ClientSession | None = None
        self._silent = ""
        """Why it did not answer the last time; empty where it did."""
        self._asked = 0
        """Requests under way."""

    async def close(self) -> None:
        if self._session is not None:
            await self._session.close()

    async def read(self, expressions: Iterable[str]) -> dict[str, Answer]:
        """The value of each at this moment."""
        every = sorted(set(expressions))
        answers = await asyncio.gather(*(self._ask(one) for one in every))
        return dict(zip(every, answers, strict=True))

    async def _ask(self, expression: str) -> Answer:
        # Looks at all resources share their slots: one that waits for a silent server is enough.
        if self._silent and self._asked:
            return Answer(unread=self._silent)
        self._asked += 1
        try:
            answer = _read(*await self._get(expression))
            self._silent = ""
        except _Unreadable as error:
            return Answer(unread=str(error))
        except (aiohttp.ClientError, TimeoutError, OSError, ValueError) as error:
            # Its words may name the address, which is for those who run the operator.
            if not self._silent:
                log.warning("%s: %s", self._url, error or type(error).__name__)
            self._silent = f"Prometheus does not answer ({type(error).__name__})"
            return Answer(unread=self._silent)
        finally:
            self._asked -= 1
        return answer

    async def _get(self, expression: str) -> tuple[int, bytes]:
        if self._session is None:
            self._session = aiohttp.ClientSession(
                timeout=self._timeout, connector=aiohttp.TCPConnector(limit=_AT_ONCE)
            )
        # GET, because a proxy that tells readers from writers goes by the verb; and no redirect
        # takes the token to somebody else.
        async with self._session.get(
            self._url, params={"query": expression}, headers=self._headers(), allow_redirects=False
        ) as answer:
            pieces, size = [], 0
            async for piece in answer.content.iter_any():
                pieces.append(piece)
                size += len(piece)
                if size > _MOST_BYTES:
                    raise _Unreadable(
                        f"Prometheus answered with more than {_MOST_BYTES} bytes: aggregate to one "
                        "series, as with sum(...)"
                    )
            return answer.status, b"".join(pieces)

    def _headers(self) -> dict[str, str]:
        if self._token_file is None:
            return {}
        try:
            token = self._token_file.read_text().strip()
        except OSError as error:
            raise _Unreadable(
                f"the operator cannot read its token for Prometheus ({type(error).__name__})"
            ) from error
        return {"Authorization": f"Bearer {token}"}


class _Unreadable(Exception):
    """There is an answer, and no number in it; the message says why."""


def _read(status: int, body: bytes) -> Answer:
    """Of an answer to an instant query. Raises `_Unreadable`."""
    try:
        said: Json = json.loads(body)
        if said["status"] != "success":
            raise _Unreadable(f"Prometheus refused it: {_short(said['error'])}")
        kind, result = said["data"]["resultType"], said["data"]["result"]
        if kind not in ("scalar", "vector"):
            raise _Unreadable(f"the query gives a {kind}, and one number is needed")
        if kind == "vector" and len(result) != 1:
            raise _Unreadable(_of_series(len(result)))
        value = float((result if kind == "scalar" else result[0]["value"])[1])
    except (ValueError, KeyError, IndexError, TypeError) as error:
        raise _Unreadable(f"Prometheus answered with {status}, and not as one does") from error
    if math.isnan(value):
        raise _Unreadable("the value is NaN, as where 0 is divided by 0")
    return Answer(value)


def _of_series(count: int) -> str:
    if not count:
        return "no series has a value at this moment"
    return f"the query gives {count} series: aggregate them to one, as with sum(...)"


def _short(text: object) -> str:
    said = " ".join(str(text).split())
    return said if len(said) <= _MOST_SAID else f"{said[:_MOST_SAID]}..."
