"""What the transport hands to a protocol, and what it gets back. Whichever transport it is."""

from collections.abc import Awaitable, Callable, Coroutine, Sequence
from dataclasses import dataclass
from typing import Any, Protocol

from modelfleet_runtime.batching.served import Served
from modelfleet_runtime.errors import BadInput, Refusal
from modelfleet_runtime.signature import Tensors

Headers = list[tuple[bytes, bytes]]

JSON_HEADERS: Headers = [(b"content-type", b"application/json")]
# What is taken for JSON. curl -d without a header says the last one, and means JSON here.
_JSON_TYPES = frozenset(
    {b"", b"application/json", b"text/plain", b"application/x-www-form-urlencoded"}
)


class Ask(Protocol):
    def __call__(self, tensors: Tensors, time_limit: float | None = None) -> Awaitable[Tensors]:
        """The model's outputs, each request its own rows. `time_limit` in seconds from the arrival
        shortens the deadline. Raises `Refusal`."""


@dataclass(slots=True)
class Incoming:
    """One request whose body has arrived."""

    headers: dict[bytes, bytes]
    """Names in lower case; of a repeated header the last."""
    body: bytes
    served: Served
    deadline: float
    """As of `time.monotonic`. `ask` keeps to it; what else may take long has to as well."""
    ask: Ask
    """For endpoints that have more to wait for than the model."""
    request_id: bytes = b""
    method: str = "POST"
    path: str = ""
    """Decoded, without the query."""
    query: str = ""
    """As it came."""


@dataclass(slots=True)
class Answer:
    status: int
    headers: Headers
    body: bytes
    tail: Sequence[memoryview] = ()
    """What follows the body, where it is so large that it is sent from where it lies."""

    @property
    def length(self) -> int:
        """Bytes of body and tail."""
        return len(self.body) + sum(view.nbytes for view in self.tail)


@dataclass(slots=True)
class Question:
    """What an endpoint asks the model, and how the outputs become the answer."""

    tensors: Tensors
    finish: Callable[[Tensors], Answer]
    """Raises `Refusal`. Quick: it is called on the loop."""
    time_limit: float | None = None
    """Seconds from the arrival; shortens the deadline."""
    priority: int = 0
    """1 goes first; 0 is the model's default level."""


Endpoint = Callable[[Incoming], Question | Coroutine[Any, Any, Answer]]
"""A protocol's inference route. Most give a question at once, and no task is made for them. Raises
`Refusal`."""

InPlace = Callable[[Incoming], bool]
"""Whether the body becomes tensors where it lies: then its length says nothing of how long reading
it takes. Asked of long bodies only."""

Refuse = Callable[[Refusal], Answer]
"""A refusal in the protocol's own shape."""


def check_json_type(headers: dict[bytes, bytes]) -> None:
    """Raises `BadInput` where the body says that it is something else."""
    kind = headers.get(b"content-type", b"").partition(b";")[0].strip().lower()
    if kind not in _JSON_TYPES and not kind.endswith(b"+json"):
        raise BadInput(
            f"the body is {kind.decode('latin-1')[:80]!r}; send JSON as application/json"
        )
