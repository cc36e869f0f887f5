"""What the protocol asks beside inference: health, metadata, configuration, statistics.

This server has one model, which it loads when it starts and unloads when it ends; what would change
that is refused.
"""

from collections.abc import Callable
from typing import Any, TypeVar

from google.protobuf.message import DecodeError, Message

from modelfleet_contract import Batching
from modelfleet_runtime.errors import BadInput, NotFound, Refusal
from modelfleet_runtime.life import Life
from modelfleet_runtime.metrics import Metrics
from modelfleet_runtime.protocols.grpc.config import model_config
from modelfleet_runtime.protocols.grpc.messages import inference_pb2 as pb
from modelfleet_runtime.protocols.oip.routes import OipRoutes
from modelfleet_runtime.statistics import Duration, Statistics
from modelfleet_runtime.version import own_version

Request = TypeVar("Request", bound=Message)


class Unsupported(Refusal):
    """What this server does not do."""

    status = 501


class Management:
    def __init__(
        self,
        oip: OipRoutes,
        life: Life,
        metrics: Metrics,
        statistics: Statistics,
        name: str,
        version: str,
        batching: Batching,
        timeout: float,
    ) -> None:
        """`timeout` of a request, in seconds."""
        self._oip = oip
        self._life = life
        self._metrics = metrics
        self._statistics = statistics
        self._name = name
        self._version = version
        self._batching = batching
        self._timeout = timeout

    def methods(self) -> dict[str, Callable[[bytes], bytes]]:
        """By name: a request's bytes to its answer's. They raise `Refusal`."""
        memory = _refused("shared memory is not supported; send tensors in raw_input_contents")
        return {
            "ServerLive": _method(pb.ServerLiveRequest, self._live),
            "ServerReady": _method(pb.ServerReadyRequest, self._ready),
            "ServerMetadata": _method(pb.ServerMetadataRequest, self._server),
            "ModelReady": _method(pb.ModelReadyRequest, self._model_ready),
            "ModelMetadata": _method(pb.ModelMetadataRequest, self._model),
            "ModelConfig": _method(pb.ModelConfigRequest, self._config),
            "ModelStatistics": _method(pb.ModelStatisticsRequest, self._stats),
            "RepositoryIndex": _method(pb.RepositoryIndexRequest, self._index),
            "RepositoryModelLoad": _method(pb.RepositoryModelLoadRequest, self._load),
            "RepositoryModelUnload": _method(pb.RepositoryModelUnloadRequest, self._unload),
            "SystemSharedMemoryStatus": _method(
                pb.SystemSharedMemoryStatusRequest,
                lambda _: pb.SystemSharedMemoryStatusResponse(),
            ),
            "CudaSharedMemoryStatus": _method(
                pb.CudaSharedMemoryStatusRequest, lambda _: pb.CudaSharedMemoryStatusResponse()
            ),
            "SystemSharedMemoryRegister": memory,
            "SystemSharedMemoryUnregister": memory,
            "CudaSharedMemoryRegister": memory,
            "CudaSharedMemoryUnregister": memory,
            "TraceSetting": _method(pb.TraceSettingRequest, self._trace),
            "LogSettings": _method(pb.LogSettingsRequest, self._logs),
        }

    def _check(self, request: Any) -> None:
        self._oip.check(request.name, request.version or None)

    # -- server and model

    def _live(self, _: pb.ServerLiveRequest) -> Message:
        return pb.ServerLiveResponse(live=True)

    def _ready(self, _: pb.ServerReadyRequest) -> Message:
        return pb.ServerReadyResponse(ready=self._life.ready)

    def _server(self, _: pb.ServerMetadataRequest) -> Message:
        said = self._oip.server_metadata(own_version())
        response = pb.ServerMetadataResponse(**said)
        response.extensions.extend(("model_configuration", "statistics"))
        return response

    def _model_ready(self, request: pb.ModelReadyRequest) -> Message:
        self._check(request)
        return pb.ModelReadyResponse(ready=self._life.ready)

    def _model(self, request: pb.ModelMetadataRequest) -> Message:
        self._check(request)
        return pb.ModelMetadataResponse(**self._oip.model_metadata(self._life.model()))

    def _config(self, request: pb.ModelConfigRequest) -> Message:
        self._check(request)
        config = model_config(self._life.model(), self._batching, self._timeout)
        return pb.ModelConfigResponse(config=config)

    def _stats(self, request: pb.ModelStatisticsRequest) -> Message:
        if request.name:
            self._check(request)
        figures = self._statistics.figures(self._metrics)
        stats = pb.InferStatistics(
            success=_duration(figures.success),
            fail=_duration(figures.fail),
            queue=_duration(figures.queue),
            compute_infer=_duration(figures.compute),
        )
        model = pb.ModelStatistics(
            name=self._name,
            version=self._version,
            last_inference=figures.last_ms,
            inference_count=figures.rows,
            execution_count=round(figures.compute.count),
            inference_stats=stats,
        )
        return pb.ModelStatisticsResponse(model_stats=[model])

    # -- the repository

    def _index(self, request: pb.RepositoryIndexRequest) -> Message:
        response = pb.RepositoryIndexResponse()
        if self._life.ready or not request.ready:
            state = "READY" if self._life.ready else "UNAVAILABLE"
            reason = "" if self._life.ready else self._life.state.value
            response.models.add(
                name=self._name, version=self._version, state=state, reason=reason
            )  # fmt: skip
        return response

    def _load(self, request: pb.RepositoryModelLoadRequest) -> Message:
        self._known(request.model_name)
        if request.parameters:
            raise Unsupported("a model is loaded as it is; load takes no parameters")
        self._life.model()
        return pb.RepositoryModelLoadResponse()

    def _unload(self, request: pb.RepositoryModelUnloadRequest) -> Message:
        self._known(request.model_name)
        raise Unsupported("this server has one model, which is unloaded when the server ends")

    def _known(self, name: str) -> None:
        if name != self._name:
            raise NotFound(f"there is no model {name[:80]!r}; this server has {self._name!r}")

    # -- settings

    def _trace(self, request: pb.TraceSettingRequest) -> Message:
        if request.model_name:
            self._known(request.model_name)
        if any(setting.value for setting in request.settings.values()):
            raise Unsupported("trace settings cannot be changed over this port")
        response = pb.TraceSettingResponse()
        response.settings["trace_level"].value.append("OFF")
        return response

    def _logs(self, request: pb.LogSettingsRequest) -> Message:
        if any(s.WhichOneof("parameter_choice") for s in request.settings.values()):
            raise Unsupported("log settings cannot be changed over this port")
        response = pb.LogSettingsResponse()
        for name in ("log_info", "log_warning", "log_error"):
            response.settings[name].bool_param = True
        return response


def _method(kind: type[Request], answer: Callable[[Request], Message]) -> Callable[[bytes], bytes]:
    def method(message: bytes) -> bytes:
        request = kind()
        try:
            request.ParseFromString(message)
        except DecodeError as error:
            raise BadInput(f"the message is not a {kind.__name__}") from error
        return answer(request).SerializeToString()

    return method


def _refused(sentence: str) -> Callable[[bytes], bytes]:
    def method(_: bytes) -> bytes:
        raise Unsupported(sentence)

    return method


def _duration(duration: Duration) -> pb.StatisticDuration:
    return pb.StatisticDuration(count=round(duration.count), ns=duration.ns)
