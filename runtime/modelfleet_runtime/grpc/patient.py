"""How long a call waits for a message to come whole."""

import asyncio

from modelfleet_runtime import incoming
from modelfleet_runtime.errors import Refusal
from modelfleet_runtime.service import Service


class Patient:
    """A handler that waits for a message as long as a request may take, and then refuses the call.

    Unfinished messages hold memory that all requests share.
    """

    __slots__ = ("_service", "_timer")

    def __init__(self, service: Service) -> None:
        self._service = service
        self._timer: asyncio.TimerHandle | None = None

    @property
    def full(self) -> bool:
        raise NotImplementedError

    def refuse(self, refusal: Refusal) -> None:
        raise NotImplementedError

    def _wait(self) -> None:
        """Its time counts from now on, or has counted already."""
        if self._timer is None:
            self._timer = asyncio.get_running_loop().call_later(self._service.timeout, self._late)

    def _wait_no_longer(self) -> None:
        """It is there, or nobody needs it."""
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None

    def _late(self) -> None:
        self._timer = None
        if not self.full:  # else it is ours to take, and not the client's to send
            self.refuse(incoming.late())
