"""Which numbers of a request are counted for an experiment, beside its status and its latency."""

from collections.abc import Iterable
from enum import StrEnum
from typing import Final

from pydantic import Field

from modelfleet_contract.base import Shared

VALUE_NAME_PATTERN: Final = r"^[A-Za-z_][A-Za-z0-9_-]*$"
MOST_VALUES: Final = 8
MOST_FEEDBACK: Final = 16
LARGEST_VALUE: Final = 1e12
"""Of either sign; the sum of the squares of any number of values is then finite."""


class Reduce(StrEnum):
    """How the elements of one row become one number."""

    MEAN = "Mean"
    MAX = "Max"
    MIN = "Min"
    FIRST = "First"


class NamedValue(Shared):
    """A number of a request, under the name by which an experiment compares it."""

    name: str = Field(pattern=VALUE_NAME_PATTERN, max_length=63)
    """The name by which an experiment compares it."""


class ModelValue(NamedValue):
    """A number that the model returns with each answer."""

    output: str = Field(min_length=1, max_length=253)
    """The model's output that holds it, a tensor of numbers."""

    reduce: Reduce = Reduce.MEAN
    """What is taken of the elements of a row: their Mean, Max or Min, or the First. Over the rows
    of a request it is the mean. Default Mean."""


class FeedbackValue(NamedValue):
    """A number that is posted back later, under the id that the answer had."""


def named_twice(values: Iterable[NamedValue]) -> str | None:
    """The first name that comes a second time."""
    seen: set[str] = set()
    for value in values:
        if value.name in seen:
            return value.name
        seen.add(value.name)
    return None
