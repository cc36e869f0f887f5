"""Which state the server is in; the only place that says whether it is ready."""

import logging
import time
from collections.abc import Callable
from enum import StrEnum

from modelfleet_runtime.batching.served import Served
from modelfleet_runtime.errors import NotReady
from modelfleet_runtime.metrics import Metrics

log = logging.getLogger("modelfleet.life")


class State(StrEnum):
    LOADING = "loading"
    READY = "ready"
    DRAINING = "draining"
    """Told to stop: no longer ready, and still answering what comes."""
    DEAD = "dead"
    """Nothing will run here again; the process has to be started anew."""


class Life:
    """Loading, then ready, then draining; from loading it may go to draining at once, and from
    anywhere to dead."""

    def __init__(self, metrics: Metrics, now: Callable[[], float] = time.monotonic) -> None:
        self._metrics = metrics
        self._now = now
        self._stall_seconds: float | None = None
        self._request_seconds: float | None = None
        self.why_dead: str | None = None
        self.state = State.LOADING
        self.on_change: list[Callable[[], None]] = []
        """Called after each change of the state, on the loop's thread."""
        self.served: Served | None = None
        self.in_flight = 0
        """Requests of any kind that have arrived and are not answered."""
        metrics.ready.set(0)
        metrics.in_progress.set_function(lambda: self.inferring)
        self.inferring = 0
        """Of those, the ones for inference."""

    @property
    def ready(self) -> bool:
        """Not while a batch outlasts the longest request: all that waits behind it ends with 504,
        so what comes now had better go to another pod. It is ready again when the batch ends."""
        ran = self._ran()
        late = ran is not None and self._request_seconds is not None and ran > self._request_seconds
        return self.state is State.READY and not late

    @property
    def draining(self) -> bool:
        return self.state in (State.DRAINING, State.DEAD)

    def model(self) -> Served:
        """Raises `NotReady` before it is loaded. While draining it still serves."""
        if self.served is None:
            raise NotReady("the model is being loaded")
        return self.served

    def loaded(self, served: Served) -> None:
        self.served = served
        if self.state is State.LOADING:
            self._metrics.ready.set(1)
            self._enter(State.READY)

    def limit_runs(self, seconds: float, request_seconds: float | None = None) -> None:
        """A batch that runs for longer than this is held to have hung. `request_seconds`: the
        longest that a request may take; None: a long batch never makes it less ready."""
        self._stall_seconds = seconds
        self._request_seconds = request_seconds

    def died(self, why: str) -> None:
        """Liveness fails from now on."""
        if self.why_dead is None:
            self.why_dead = why
            self._metrics.ready.set(0)
            log.error("nothing will run here again: %s", why)
            self._enter(State.DEAD)

    def ill(self) -> str | None:
        """Why the process has to be started anew; None while it is well."""
        if self.why_dead is not None:
            return self.why_dead
        ran = self._ran()
        if ran is None or self._stall_seconds is None or ran <= self._stall_seconds:
            return None
        return f"a batch has been running for {ran:.0f} s"

    def _ran(self) -> float | None:
        """For how many seconds no batch has ended; None where none runs."""
        since = None if self.served is None else self.served.batcher.running_since
        return None if since is None else self._now() - since

    def drain(self) -> None:
        if self.state is State.DEAD:
            return
        self._metrics.ready.set(0)
        self._enter(State.DRAINING)

    def _enter(self, state: State) -> None:
        self.state = state
        for tell in self.on_change:
            tell()
