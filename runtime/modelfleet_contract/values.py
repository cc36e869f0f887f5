"""Which numbers of a request are counted for an experiment, beside its status and its latency."""

from collections.abc import Iterable
from enum import StrEnum
from typing import Annotated, Final

from pydantic import Field

from modelfleet_contract.base import Shared

VALUE_NAME_PATTERN: Final = r"^[A-Za-z_][A-Za-z0-9_-]*$"
MOST_VALUES: Final = 8
MOST_FEEDBACK: Final = 16
LARGEST_VALUE: Final = 1e12
"""Of either sign; the sum of the squares of any number of values is then finite."""

ValueName = Annotated[str, Field(pattern=VALUE_NAME_PATTERN, max_length=63)]
"""The name by which an experiment compares a number."""


class Reduce(StrEnum):
    """What is taken of the elements of a row; over the rows of a request it is the mean."""

    MEAN = "Mean"
    MAX = "Max"
    MIN = "Min"
    FIRST = "First"


class ModelValue(Shared):
    """A number that the model returns with each answer."""

    name: ValueName
    """The name by which an experiment compares it."""

    output: str = Field(min_length=1, max_length=253)
    """The model's output that holds it."""

    reduce: Reduce = Reduce.MEAN
    """Default Mean."""


def named_twice(names: Iterable[str]) -> str | None:
    """The first name that comes a second time."""
    seen: set[str] = set()
    for name in names:
        if name in seen:
            return name
        seen.add(name)
    return None
