"""The gRPC health service: what a load balancer or a probe asks.

The server as a whole (the empty name), its services and the model by its name are SERVING when the
model is loaded, warmed up and the process not told to stop.
"""

from modelfleet_runtime.errors import BadInput, NotFound, Refusal
from modelfleet_runtime.grpc.patient import Patient
from modelfleet_runtime.grpc.rpc import Metadata, Rpc
from modelfleet_runtime.protocols.grpc import health as messages
from modelfleet_runtime.protocols.grpc.health import Serving
from modelfleet_runtime.protocols.grpc.statuses import Status, status_of
from modelfleet_runtime.service import Service


class Health:
    def __init__(self, service: Service) -> None:
        self._service = service
        self._life = service.life
        self._names = ("", "inference.GRPCInferenceService", messages.SERVICE, service.name)
        self._watchers: set[Watcher] = set()

    def check(self, request: bytes) -> bytes:
        name = messages.service_of(request)
        serving = self.serving(name)
        if serving is Serving.SERVICE_UNKNOWN:
            raise NotFound(f"there is no service {name[:80]!r}")
        return messages.response(serving)

    def list(self, _: bytes) -> bytes:
        return messages.list_response({name: self.serving(name) for name in self._names})

    def watch(self, _: Metadata, rpc: Rpc) -> "Watcher":
        return Watcher(self._service, self, rpc)

    def serving(self, name: str) -> Serving:
        if name not in self._names:
            return Serving.SERVICE_UNKNOWN
        return Serving.SERVING if self._life.ready else Serving.NOT_SERVING

    def changed(self) -> None:
        """Tell those who watch."""
        for watcher in list(self._watchers):
            watcher.tell()

    def add(self, watcher: "Watcher") -> None:
        self._watchers.add(watcher)

    def remove(self, watcher: "Watcher") -> None:
        self._watchers.discard(watcher)


class Watcher(Patient):
    """A call of Watch: the state now, and each time that it changes, until the client leaves."""

    full = False

    def __init__(self, service: Service, health: Health, rpc: Rpc) -> None:
        super().__init__(service)
        self._health = health
        self._rpc = rpc
        self._request = b""
        self._name = ""
        self._told: Serving | None = None

    def waits(self) -> None:
        """It watches for as long as it likes, once it has said what."""
        self._wait()

    def message(self, message: bytes, compressed: bool) -> None:
        if compressed:
            self.refuse(BadInput("this method takes no compressed messages"))
        self._request = message

    def half_closed(self) -> None:
        self._wait_no_longer()
        try:
            self._name = messages.service_of(self._request)
        except Refusal as refusal:
            self.refuse(refusal)
            return
        self._health.add(self)
        self.tell()

    def tell(self) -> None:
        serving = self._health.serving(self._name)
        if serving is not self._told:
            self._told = serving
            self._rpc.send(messages.response(serving))

    def refuse(self, refusal: Refusal) -> None:
        self._leave()
        self._rpc.finish(status_of(refusal), refusal.message)

    def cancelled(self) -> None:
        self._leave()

    def _leave(self) -> None:
        self._wait_no_longer()
        self._health.remove(self)

    def drained(self) -> None:
        self._leave()
        self._rpc.finish(Status.UNAVAILABLE, "the server is shutting down")
