"""Where ours answers otherwise than the original, and why."""

from dataclasses import dataclass
from typing import Any


@dataclass(frozen=True, slots=True)
class Difference:
    status: int
    body: Any
    why: str


DIFFERENCES: dict[str, Difference] = {}
