"""How requests are gathered into batches: the part of the resource that the batcher reads."""

from datetime import timedelta

from pydantic import Field

from modelfleet_contract.base import Shared
from modelfleet_contract.duration import Duration


class Batching(Shared):
    """How requests are gathered into batches."""

    max_size: int = Field(default=32, ge=1, le=4096)
    """The most rows in one batch. Default 32; 1 turns batching off."""

    max_delay: Duration = Field(default=timedelta(0), validate_default=True)
    """How long a batch that is not full waits for more rows while the engine is idle.
    Default 0s: an idle engine takes what is there at once, and batches form while it is busy."""

    queue_size: int = Field(default=512, ge=1, le=65536)
    """The most requests that wait for a batch; one more is answered 503 with Retry-After.
    Default 512."""
