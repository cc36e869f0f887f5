"""Which state the server is in; the only place that says whether it is ready."""

from enum import StrEnum

from modelfleet_runtime.batching.served import Served
from modelfleet_runtime.errors import NotReady
from modelfleet_runtime.metrics import Metrics


class State(StrEnum):
    LOADING = "loading"
    READY = "ready"
    DRAINING = "draining"
    """Told to stop: no longer ready, and still answering what comes."""


class Life:
    """Loading, then ready, then draining; from loading it may go to draining at once."""

    def __init__(self, metrics: Metrics) -> None:
        self._metrics = metrics
        self.state = State.LOADING
        self.served: Served | None = None
        self.in_flight = 0
        """Requests of any kind that have arrived and are not answered."""
        metrics.ready.set(0)
        metrics.in_progress.set_function(lambda: self.inferring)
        self.inferring = 0
        """Of those, the ones for inference."""

    @property
    def ready(self) -> bool:
        return self.state is State.READY

    @property
    def draining(self) -> bool:
        return self.state is State.DRAINING

    def model(self) -> Served:
        """Raises `NotReady` before it is loaded. While draining it still serves."""
        if self.served is None:
            raise NotReady("the model is being loaded")
        return self.served

    def loaded(self, served: Served) -> None:
        self.served = served
        if self.state is State.LOADING:
            self.state = State.READY
            self._metrics.ready.set(1)

    def drain(self) -> None:
        self.state = State.DRAINING
        self._metrics.ready.set(0)
