"""How requests are gathered into batches: the part of the resource that the batcher reads."""

from datetime import timedelta
from enum import StrEnum
from typing import Annotated, Any

from pydantic import Field, model_validator

from modelfleet_contract.base import Shared
from modelfleet_contract.bytesize import ByteSize
from modelfleet_contract.duration import Duration


def _keyed(key: str) -> dict[str, Any]:
    """For a list whose entries are told apart by one of their fields."""
    return {"x-kubernetes-list-type": "map", "x-kubernetes-list-map-keys": [key]}


class Oversize(StrEnum):
    """What becomes of a request that has more rows than a batch may have."""

    SPLIT = "Split"
    """It is run in several batches, and answered as one."""
    REFUSE = "Refuse"
    """It is answered 400 with the bound."""


class OnQueueTimeout(StrEnum):
    """What becomes of a request that has waited for as long as it may."""

    REFUSE = "Refuse"
    """It is answered 504."""
    DEFER = "Defer"
    """It waits on behind all others, for as long as its own time lasts."""


class Padding(Shared):
    """One input whose rows may be made longer so that they go together."""

    input: str = Field(min_length=1, max_length=253)
    """The input's name."""

    value: int = 0
    """What is added. Default 0."""


class Level(Shared):
    """How the requests of one priority level wait."""

    level: int = Field(ge=1, le=32)
    """Which level; 1 goes first."""

    queue_size: int | None = Field(default=None, ge=1, le=65536)
    """The most requests of this level that wait. Default: no bound of its own."""

    queue_timeout: Duration | None = None
    """How long a request of this level may wait for its batch. Default: as batching.queueTimeout
    says."""

    on_queue_timeout: OnQueueTimeout | None = None
    """What becomes of it then. Default: as batching.onQueueTimeout says."""


class Priorities(Shared):
    """Levels of priority, which requests name in `parameters.priority`."""

    levels: int = Field(ge=2, le=32)
    """How many levels there are; 1 goes first."""

    default: int = Field(ge=1, le=32)
    """The level of a request that names none (or 0)."""

    queues: list[Level] = Field(default=[], max_length=32, json_schema_extra=_keyed("level"))
    """How the requests of some of the levels wait; those of the others as batching says."""

    @model_validator(mode="after")
    def _levels_are_there(self) -> "Priorities":
        if self.default > self.levels:
            raise ValueError(f"default is {self.default}, and there are {self.levels} levels")
        for queue in self.queues:
            if queue.level > self.levels:
                raise ValueError(f"queues name level {queue.level} of {self.levels} levels")
        return self


class Batching(Shared):
    """How requests are gathered into batches."""

    max_size: int = Field(default=32, ge=1, le=4096)
    """The most rows in one batch. Default 32; 1 turns batching off."""

    max_delay: Duration = Field(default=timedelta(0), validate_default=True)
    """How long a batch that is not full waits for more rows while the engine is idle.
    Default 0s: an idle engine takes what is there at once, and batches form while it is busy."""

    preferred_sizes: list[Annotated[int, Field(ge=1, le=4096)]] = Field(
        default=[], max_length=16, json_schema_extra={"x-kubernetes-list-type": "set"}
    )
    """Rows at which a batch goes without waiting for more. Default: only a full one does."""

    queue_size: int = Field(default=512, ge=1, le=65536)
    """The most requests that wait for a batch; one more is answered 503 with Retry-After.
    Default 512."""

    queue_bytes: ByteSize = Field(default=256 * 1024 * 1024, ge=1)
    """The most bytes of tensors that wait for a batch; a request beyond it is answered 503 with
    Retry-After, unless nothing else waits. Default 256Mi."""

    queue_timeout: Duration | None = None
    """How long a request may wait for its batch. Default: while its time lasts."""

    on_queue_timeout: OnQueueTimeout | None = None
    """What becomes of it then. Default Refuse."""

    oversize: Oversize = Oversize.SPLIT
    """What becomes of a request with more rows than maxSize. Default Split."""

    padding: list[Padding] = Field(default=[], max_length=32, json_schema_extra=_keyed("input"))
    """Inputs whose rows may be padded, so that requests of different lengths share a batch: only
    for models to which that makes no difference. Default: only equal shapes go together."""

    priorities: Priorities | None = None
    """Levels of priority. Default: first come, first served."""

    @model_validator(mode="after")
    def _sizes_can_be_reached(self) -> "Batching":
        for size in self.preferred_sizes:
            if size > self.max_size:
                raise ValueError(
                    f"preferredSizes name {size}, and a batch has at most {self.max_size} rows"
                )
        return self
