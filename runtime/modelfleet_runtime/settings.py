"""How this process runs, apart from what it serves: the machine's side of things.

What is served stands in the contract's `ServeDocument`. Everything here has an environment
variable, so that a pod template can set it, and most have a flag of `modelfleet-runtime serve`.
"""

import os
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

from modelfleet_contract import GRPC_PORT, HTTP_PORT, FailureReason
from modelfleet_runtime.errors import CannotServe
from modelfleet_runtime.limits import RequestLimits


@dataclass(frozen=True, slots=True)
class Settings:
    """How this process runs."""

    host: str = "0.0.0.0"
    """MODELFLEET_HOST: the address to listen on. Default 0.0.0.0."""
    port: int = HTTP_PORT
    """MODELFLEET_PORT: the port; 0 takes a free one and logs it. Default 8080."""
    http: str = "own"
    """MODELFLEET_HTTP: who answers the inference routes: the connection itself (own), or the ASGI
    application (asgi), which answers the same, more slowly. Default own."""
    grpc_port: int | None = GRPC_PORT
    """MODELFLEET_GRPC_PORT: the port for gRPC; 0 takes a free one and logs it, `off` opens none.
    Default 8081."""
    grpc: str = "own"
    """MODELFLEET_GRPC: own, or grpcio: the port on grpcio's server, which is four times slower and
    answers the same. Default own."""
    management_port: int | None = None
    """MODELFLEET_MANAGEMENT_PORT: a port for what TorchServe's management API says of the model; 0
    takes a free one and logs it, `off` opens none. Default off."""
    metrics_port: int | None = None
    """MODELFLEET_METRICS_PORT: a port of its own for /metrics, which is at the HTTP port in any
    case; 0 takes a free one and logs it, `off` opens none. Default off."""
    threads: int | None = None
    """MODELFLEET_THREADS: threads of the engine. Default: the container's CPU quota."""
    limits: RequestLimits = field(default_factory=RequestLimits)
    """MODELFLEET_MAX_BODY_BYTES: the largest body. Default 64 MiB.
    MODELFLEET_MAX_BODIES_BYTES: all bodies held at once. Default 256 MiB; never less than one.
    MODELFLEET_MAX_HEAD_BYTES: a request's URL and headers. Default 64 KiB.
    MODELFLEET_MAX_CONNECTIONS: connections at once, on each port. Default 4096.
    MODELFLEET_MAX_IMAGE_PIXELS: of an image that a Python class opens with Pillow; read by the
    process that runs the model. Default 64 Mi."""
    drain_seconds: float = 3.0
    """MODELFLEET_DRAIN_SECONDS: after SIGTERM, how long new connections are taken at least; the
    door stays open while a request is in flight, though not for longer than the request's timeout
    and 3 s. Default 3: the pod's preStop has waited until the nodes have heard, but routers that
    check the pod every second hear only now, and one check may be late."""
    keep_alive_seconds: int = 75
    """MODELFLEET_KEEP_ALIVE_SECONDS: an idle connection is closed after this. Default 75, more than
    the usual 60 of a proxy in front, so that never we close what the proxy is about to use."""
    stall_seconds: int = 0
    """MODELFLEET_STALL_SECONDS: liveness fails while one batch runs for longer. Default 0: ten
    times the request's timeout, and not less than 5 minutes."""
    termination_log: Path = Path("/dev/termination-log")
    """MODELFLEET_TERMINATION_LOG: where a failure is written, if that file exists."""
    access_log: bool = False
    """MODELFLEET_ACCESS_LOG=1: one log line for each request. Default off."""
    log_format: str = "auto"
    """MODELFLEET_LOG_FORMAT: json, text, or auto (text on a terminal). Default auto."""
    log_level: str = "INFO"
    """MODELFLEET_LOG_LEVEL: DEBUG, INFO, WARNING or ERROR. Default INFO."""
    cache: Path = Path("~/.cache/modelfleet/models")
    """XDG_CACHE_HOME/modelfleet/models: where `serve https://...` without a cluster fetches to."""

    @classmethod
    def from_env(cls, env: Mapping[str, str] = os.environ) -> "Settings":
        """Raises `CannotServe` that names the variable which cannot be read."""
        default = cls()
        image_pixels(env)
        cache = Path(env.get("XDG_CACHE_HOME") or Path.home() / ".cache")
        return cls(
            host=env.get("MODELFLEET_HOST", default.host),
            port=_number(env, "MODELFLEET_PORT", default.port, 0, 65535),
            http=_choice(env, "MODELFLEET_HTTP", default.http, HTTP),
            grpc_port=port_or_off(env, "MODELFLEET_GRPC_PORT", GRPC_PORT),
            grpc=_choice(env, "MODELFLEET_GRPC", default.grpc, GRPC),
            management_port=port_or_off(env, "MODELFLEET_MANAGEMENT_PORT", None),
            metrics_port=port_or_off(env, "MODELFLEET_METRICS_PORT", None),
            threads=_number(env, "MODELFLEET_THREADS", 0, 0, 4096) or None,
            limits=RequestLimits(
                body_bytes=_number(
                    env, "MODELFLEET_MAX_BODY_BYTES", default.limits.body_bytes, 1, 1 << 40
                ),
                bodies_bytes=_number(
                    env, "MODELFLEET_MAX_BODIES_BYTES", default.limits.bodies_bytes, 1, 1 << 40
                ),
                head_bytes=_number(
                    env, "MODELFLEET_MAX_HEAD_BYTES", default.limits.head_bytes, 256, 1 << 24
                ),
                connections=_number(
                    env, "MODELFLEET_MAX_CONNECTIONS", default.limits.connections, 1, 1 << 20
                ),
            ),
            drain_seconds=_number(
                env, "MODELFLEET_DRAIN_SECONDS", int(default.drain_seconds), 0, 3600
            ),
            keep_alive_seconds=_number(
                env, "MODELFLEET_KEEP_ALIVE_SECONDS", default.keep_alive_seconds, 1, 86400
            ),
            stall_seconds=_number(env, "MODELFLEET_STALL_SECONDS", 0, 0, 86400),
            termination_log=termination_log(env),
            access_log=env.get("MODELFLEET_ACCESS_LOG", "").lower() in ("1", "true", "yes"),
            log_format=_choice(env, "MODELFLEET_LOG_FORMAT", default.log_format, LOG_FORMATS),
            log_level=_choice(env, "MODELFLEET_LOG_LEVEL", default.log_level, LOG_LEVELS),
            cache=cache / "modelfleet" / "models",
        )


def image_pixels(env: Mapping[str, str]) -> int:
    """Apart from the rest, because a process that runs the model reads nothing else."""
    return _number(env, "MODELFLEET_MAX_IMAGE_PIXELS", 64 * 1024 * 1024, 1, 1 << 40)


def termination_log(env: Mapping[str, str]) -> Path:
    """Apart from the rest, because a setting that cannot be read is told there too."""
    return Path(env.get("MODELFLEET_TERMINATION_LOG", "/dev/termination-log"))


HTTP = ("own", "asgi")
GRPC = ("own", "grpcio")


def port_or_off(env: Mapping[str, str], name: str, default: int | None) -> int | None:
    """None for `off`."""
    text = env.get(name) or ("off" if default is None else str(default))
    if text == "off":
        return None
    if not text.isascii() or not text.isdigit() or len(text) > 5 or int(text) > 65535:
        raise _wrong(name, text, "a whole number from 0 to 65535, or off")
    return int(text)


LOG_FORMATS = ("auto", "json", "text")
LOG_LEVELS = ("DEBUG", "INFO", "WARNING", "ERROR")


def _number(env: Mapping[str, str], name: str, default: int, least: int, most: int) -> int:
    text = env.get(name, "")
    if not text:
        return default
    if not text.isascii() or not text.isdigit() or not least <= int(text) <= most:
        raise _wrong(name, text, f"a whole number from {least} to {most}")
    return int(text)


def _choice(env: Mapping[str, str], name: str, default: str, allowed: tuple[str, ...]) -> str:
    text = env.get(name) or default
    if text not in allowed:
        raise _wrong(name, text, "one of " + ", ".join(allowed))
    return text


def _wrong(name: str, text: str, wanted: str) -> CannotServe:
    return CannotServe(
        FailureReason.DOCUMENT_INVALID, f"the setting {name} is {text[:40]!r}, not {wanted}"
    )
