"""The routers themselves, asked at their own addresses: what do they serve?"""

import aiohttp

from modelfleet_operator.router.names import OPS_PORT

_TIMEOUT = aiohttp.ClientTimeout(total=2.0)
_MOST_BYTES = 32 * 1024 * 1024
"""Of one answer: fifty ModelDeployments have some 2 MB of statistics."""


class Silent(Exception):
    """A router does not answer, or answers with something else than 200; the message says which."""


class RouterApi:
    """One pool of connections to the routers of all namespaces."""

    def __init__(self, port: int = OPS_PORT) -> None:
        self._port = port
        self._session: aiohttp.ClientSession | None = None

    async def close(self) -> None:
        if self._session is not None:
            await self._session.close()

    async def ask(
        self, address: str, path: str, port: int | None = None, most: int = _MOST_BYTES
    ) -> str:
        """The body of GET `path`, on the ops port or on another. Raises `Silent`, also where it has
        more than `most` bytes."""
        if self._session is None:
            self._session = aiohttp.ClientSession(timeout=_TIMEOUT)
        host = f"[{address}]" if ":" in address else address
        try:
            async with self._session.get(f"http://{host}:{port or self._port}{path}") as answer:
                if answer.status != 200:
                    raise Silent(f"{path} was answered with {answer.status}")
                pieces, size = [], 0
                async for piece in answer.content.iter_any():
                    pieces.append(piece)
                    size += len(piece)
                    if size > most:
                        raise Silent(f"{path} was answered with more than {most} bytes")
                return b"".join(pieces).decode(errors="replace")
        except (aiohttp.ClientError, TimeoutError, OSError) as error:
            raise Silent(f"{path}: {error or type(error).__name__}") from error
