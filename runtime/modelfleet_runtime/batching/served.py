"""The one model that this process serves, as the protocols see it."""

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

from modelfleet_runtime.batching.batcher import Batcher
from modelfleet_runtime.packages.package import ModelArchive, Wishes
from modelfleet_runtime.signature import Signature, Tensors


@dataclass(frozen=True, slots=True)
class Served:
    """Loaded, warmed up, and reached through its batcher."""

    name: str
    version: str
    platform: str
    """The package's format, for metadata."""
    batcher: Batcher
    preprocess: Callable[[Any], Tensors] | None = None
    """One item as it stood in the JSON -> the tensors of one row. Slow: not on the loop."""
    postprocess: Callable[[Tensors], Any] | None = None
    """The tensors of one row -> what stands in the JSON for it. Slow: not on the loop."""
    archive: ModelArchive | None = None
    """Of TorchServe: such a model takes whole requests."""
    wishes: Wishes = field(default_factory=Wishes)
    """How the package says that it is to be run."""
    workers: int = 1
    """Processes that run the model."""

    @property
    def signature(self) -> Signature:
        return self.batcher.signature
