"""`modelfleet-runtime inspect`: what a path is, and what would be served of it."""

import os
import shutil
from collections.abc import Iterator
from pathlib import Path

from modelfleet_contract import Batching, EngineSettings, FailureReason, ModelFormat
from modelfleet_runtime import cpus
from modelfleet_runtime.engines.engine import FUNCTIONS, engine_for
from modelfleet_runtime.errors import CannotServe
from modelfleet_runtime.packages.find import find, look
from modelfleet_runtime.packages.inspection import findings
from modelfleet_runtime.packages.package import Match, Package
from modelfleet_runtime.protocols.dialects import dialect_of
from modelfleet_runtime.settings import Settings
from modelfleet_runtime.signature import Signature

_TENSOR_ROUTES = ("POST /predict", "POST /predict/batch", "POST /v2/models/NAME/infer")


def inspect(place: Path, fmt: ModelFormat, settings: Settings, load: bool) -> Iterator[str]:
    """Lines for a person. With `load` the model is loaded and warmed up; else nothing is run.

    Raises `CannotServe` where it cannot be served: no format fits, several do, or this image lacks
    what it needs; the lines before say the rest.
    """
    for candidate, verdict in look(place):
        if isinstance(verdict, Match):
            yield f"{candidate}: yes, {verdict.main}"
        else:
            yield f"{candidate}: no, {verdict.why}"
    package = find(place, fmt)
    try:
        yield from _told(package, settings, load)
    finally:
        if package.unpacked is not None:
            shutil.rmtree(package.unpacked, ignore_errors=True)


def _told(package: Package, settings: Settings, load: bool) -> Iterator[str]:
    signature = package.signature
    if load or package.format is ModelFormat.ONNX:  # which says of itself what it takes
        engine = engine_for(package, EngineSettings(), cpus.usable_cpus())
        signature = engine.load()
        if load:
            signature = engine.warm_up(Batching().max_size)
        engine.close()
    yield from _served(package, signature, settings)
    found = findings(package)
    for finding in found:
        yield f"  {'not supported' if finding.fatal else 'look at'}: {finding.what}"
    fatal = [finding.what for finding in found if finding.fatal]
    if fatal:
        raise CannotServe(FailureReason.UNSUPPORTED, f"{package.main.name} {fatal[0]}"
                          if fatal[0].startswith("needs") else fatal[0])  # fmt: skip


def _served(package: Package, signature: Signature | None, settings: Settings) -> Iterator[str]:
    how = ""
    if package.format in FUNCTIONS:
        how = ", one request at a time in each process"
    elif signature is not None:
        how = ", batched" if signature.batched else ", one request at a time"
    yield f"served as {package.format}{how}"
    for spec in signature.inputs if signature is not None else ():
        yield f"  takes {spec.describe()}"
    for spec in signature.outputs if signature is not None else ():
        yield f"  gives {spec.describe()}"
    environment = {**os.environ, **package.environment}
    dialect = dialect_of(package.format, environment, settings.limits, 1)
    routes = list(_TENSOR_ROUTES)
    if dialect is not None:
        asked = [f"{'|'.join(methods)} {path}" for path, methods in dialect.asked.items()]
        routes = [*asked, *(f"GET {path}" for path in dialect.pages)]
    grpc = settings.grpc_port if dialect is None and settings.grpc_port else None
    yield f"  on port {settings.port}: {', '.join(routes)}"
    if grpc is not None:
        yield f"  on port {grpc}: gRPC"
    for name, value in package.environment.items():
        yield f"  with {name}={value}"
