"""What every kind of parameter is."""

from abc import ABC, abstractmethod
from typing import Any


class AbstractParameterType(ABC):
    def __init__(self, sample_input: Any) -> None:
        self.sample_input = sample_input
        self.sample_data_type = type(sample_input)

    @abstractmethod
    def deserialize_input(self, input_data: Any) -> Any:
        """What `run` is given, of what stood in the JSON."""

    @abstractmethod
    def input_to_swagger(self) -> dict[str, Any]:
        """Its schema, with an "example"."""

    def supported_versions(self) -> list[str]:
        """Swagger 2.0 has no lists of mixed types."""
        uniform = _is_uniform(self.input_to_swagger()["example"])
        return ["2.0", "3.0", "3.1"] if uniform else ["3.0", "3.1"]


def _is_uniform(value: Any) -> bool:
    if isinstance(value, dict):
        return all(_is_uniform(inner) for inner in value.values())
    if isinstance(value, list) and value:
        one = all(type(item) is type(value[0]) for item in value)
        return one and all(_is_uniform(item) for item in value if isinstance(item, list))
    return True
