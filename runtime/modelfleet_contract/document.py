"""The document that tells the runtime what to serve.

The operator freezes one into the pod template of each revision, as JSON in the environment
variable `MODELFLEET_SERVE`; without a cluster the runtime makes the same document from its command
line. Every default that both sides need stands here and nowhere else.
"""

from datetime import timedelta
from pathlib import PurePosixPath
from typing import Final

from pydantic import Field, model_validator

from modelfleet_contract.base import Shared
from modelfleet_contract.batching import Batching
from modelfleet_contract.duration import Duration
from modelfleet_contract.engine import EngineSettings
from modelfleet_contract.model import ModelSource, Scheme
from modelfleet_contract.values import (
    MOST_FEEDBACK,
    MOST_VALUES,
    ModelValue,
    ValueName,
    named_twice,
)

DOCUMENT_ENV: Final = "MODELFLEET_SERVE"
"""The environment variable that holds the document as JSON."""

MODELS_FOLDER: Final = "/models"
"""Where the volume with the model is mounted in the pod (a claim, or what was fetched)."""

HTTP_PORT: Final = 8080
HTTP_PORT_NAME: Final = "http"
GRPC_PORT: Final = 8081
GRPC_PORT_NAME: Final = "grpc"
METRICS_PATH: Final = "/metrics"
READY_PATH: Final = "/health/ready"
SERVED_BY_HEADER: Final = "x-envoy-upstream-healthchecked-cluster"
"""On the answer of `READY_PATH`: the revision. The router keeps a pod that the DNS does not name at
the moment, and leaves it when the same address answers for another revision."""
LIVE_PATH: Final = "/health/live"


class ServeDocument(Shared):
    """What one pod serves, and how."""

    name: str = Field(min_length=1, max_length=253)
    """The model's name in addresses, answers and metrics: the ModelDeployment's name."""

    namespace: str = ""
    """The namespace of the ModelDeployment, for logs; empty without a cluster."""

    revision: str = ""
    """The name of the revision, for logs and for the router; empty without a cluster."""

    model: ModelSource
    """Which model."""

    batching: Batching = Batching()
    """How requests are gathered."""

    engine: EngineSettings = EngineSettings()
    """How the model is loaded and run."""

    timeout: Duration = Field(default=timedelta(seconds=30), validate_default=True)
    """How long one request may take from its arrival to its answer. Default 30s."""

    values: tuple[ModelValue, ...] = Field(default=(), max_length=MOST_VALUES)
    """Numbers that the model returns, to be counted for an experiment."""

    feedback: tuple[ValueName, ...] = Field(default=(), max_length=MOST_FEEDBACK)
    """The names of numbers that may be posted back to a request. With any, each answer has an id
    for that."""

    @model_validator(mode="after")
    def _names_differ(self) -> "ServeDocument":
        twice = named_twice((*(value.name for value in self.values), *self.feedback))
        if twice is not None:
            raise ValueError(
                f"values and feedback name {twice!r} twice; give each a name of its own"
            )
        return self

    @property
    def location(self) -> PurePosixPath:
        """Where the package lies in the pod once every volume is mounted and filled.

        What was fetched lies in a folder with a fixed name, because the address may end in
        anything: the unpacked archive, or the one file under its own name.
        """
        if self.model.scheme is Scheme.FILE:
            return PurePosixPath("/") / self.model.path
        if self.model.scheme is Scheme.PVC:
            return PurePosixPath(MODELS_FOLDER) / self.model.path
        return PurePosixPath(MODELS_FOLDER) / "package"

    def to_json(self) -> str:
        """One line, only what differs from the defaults, keys in a fixed order."""
        return self.model_dump_json(by_alias=True, exclude_defaults=True)

    @classmethod
    def from_json(cls, text: str) -> "ServeDocument":
        """Raises `pydantic.ValidationError`, which names the field that is wrong."""
        return cls.model_validate_json(text)
