"""Which methods there are, and what answers each."""

import asyncio
from collections.abc import Callable
from functools import partial

from modelfleet_contract import Batching
from modelfleet_runtime.errors import NotFound
from modelfleet_runtime.grpc.health import Health
from modelfleet_runtime.grpc.inferring import Infer, StreamInfer
from modelfleet_runtime.grpc.once import Once
from modelfleet_runtime.grpc.rpc import Bounds, Handler, Metadata, Rpc
from modelfleet_runtime.protocols.grpc.plans import GrpcInference, refuse
from modelfleet_runtime.protocols.grpc.statuses import Status
from modelfleet_runtime.service import Route, Service

SMALL = 64 * 1024
"""Bytes of a message to any method but inference."""

Start = Callable[[Metadata, Rpc], Handler]
SERVICE = "inference.GRPCInferenceService"


class Methods:
    """Of one server. Make it inside the running loop."""

    def __init__(self, service: Service, batching: Batching) -> None:
        loop = asyncio.get_running_loop()
        inference = GrpcInference(service.name, service.version)
        self.health = Health(service)
        one = Route(f"/{SERVICE}/ModelInfer", inference.infer, refuse, inference.in_place)
        many = Route(f"/{SERVICE}/ModelStreamInfer", inference.infer, refuse, inference.in_place)
        body = service.limits.body_bytes
        self._methods: dict[bytes, tuple[Bounds, Start]] = {
            one.path.encode(): (Bounds(body, 1), partial(Infer, service, one, loop)),
            many.path.encode(): (Bounds(body, None), partial(StreamInfer, service, many)),
        }
        self._service = service
        self._batching = batching
        self._unknown: tuple[Bounds, Start] = Bounds(SMALL, 1), self._no_method
        self._others: dict[bytes, tuple[Bounds, Start]] | None = None
        self._preparing: asyncio.Future[None] | None = None

    def find(self, path: bytes) -> tuple[Bounds, Start]:
        """How a call of this method begins; an unknown one is answered UNIMPLEMENTED."""
        found = self._methods.get(path)
        if found is not None:
            return found
        if self._others is None:
            self._others = self._make_others()
        return self._others.get(path, self._unknown)

    def prepare(self) -> None:
        """Import in a thread what the other methods need: it would hold up the loop later."""
        if self._others is None and self._preparing is None:
            self._preparing = asyncio.get_running_loop().run_in_executor(None, self._prepare)

    def _prepare(self) -> None:
        self._others = self._make_others()

    def _make_others(self) -> dict[bytes, tuple[Bounds, Start]]:
        """Not before one is asked for: protocol buffers are slow to import."""
        from modelfleet_runtime.grpc.reflecting import Reflect
        from modelfleet_runtime.protocols.grpc.health import SERVICE as HEALTH
        from modelfleet_runtime.protocols.grpc.management import Management
        from modelfleet_runtime.protocols.grpc.reflection import VERSIONS, Reflection

        health = self.health
        service = self._service
        management = Management(
            service.oip,
            service.life,
            service.metrics,
            service.statistics,
            service.name,
            service.version,
            self._batching,
            service.timeout,
        )
        methods: dict[bytes, tuple[Bounds, Start]] = {
            f"/{SERVICE}/{name}".encode(): self._once(method)
            for name, method in management.methods().items()
        }
        methods[f"/{HEALTH}/Check".encode()] = self._once(health.check)
        methods[f"/{HEALTH}/List".encode()] = self._once(health.list)
        methods[f"/{HEALTH}/Watch".encode()] = Bounds(SMALL, 1), health.watch
        for version in VERSIONS:
            start = partial(Reflect, service, Reflection(version))
            methods[f"/{version}.ServerReflection/ServerReflectionInfo".encode()] = (
                Bounds(SMALL, None),
                start,
            )
        return methods

    def _once(self, method: Callable[[bytes], bytes]) -> tuple[Bounds, Start]:
        return Bounds(SMALL, 1), partial(Once, self._service, method)

    def _no_method(self, metadata: Metadata, rpc: Rpc) -> Handler:
        handler = Once(self._service, _not_found, metadata, rpc)
        rpc.finish(Status.UNIMPLEMENTED, "there is no such method")
        return handler


def _not_found(_: bytes) -> bytes:
    raise NotFound("there is no such method")
