"""Python's own values, and lists and dicts of them or of other kinds."""

import base64
import json
from datetime import date, datetime, time
from typing import Any

from .abstract_parameter_type import AbstractParameterType
from .standard_types import schema_of


class StandardPythonParameterType(AbstractParameterType):
    def __init__(self, sample_input: Any) -> None:
        super().__init__(sample_input)
        self.sample_data_type_map: dict[str, AbstractParameterType] = {}
        self.sample_data_type_list: list[AbstractParameterType] = []
        if isinstance(sample_input, dict):
            self.sample_data_type_map = {
                k: v for k, v in sample_input.items() if isinstance(v, AbstractParameterType)
            }
        elif isinstance(sample_input, (list, tuple)):
            self.sample_data_type_list = [
                v for v in sample_input if isinstance(v, AbstractParameterType)
            ]

    def deserialize_input(self, input_data: Any) -> Any:
        kind = self.sample_data_type
        if kind is datetime:
            input_data = datetime.fromisoformat(input_data)
        elif kind is date:
            input_data = date.fromisoformat(input_data)
        elif kind is time:
            input_data = time.fromisoformat(input_data)
        elif kind in (bytes, bytearray):
            input_data = kind(base64.b64decode(input_data.encode()))
        if kind is float and type(input_data) is int:
            return input_data
        if not isinstance(input_data, kind):
            raise ValueError(
                f"Invalid input data type to parse. Expected: {kind} but got {type(input_data)}"
            )
        return input_data

    def input_to_swagger(self) -> dict[str, Any]:
        if self.sample_input is None:
            raise ValueError("Sample input cannot be None")
        schema = schema_of(self.sample_input)
        try:
            json.dumps(schema)
        except TypeError as error:
            raise TypeError(
                "Invalid python data sample provided: ensure that the data is fully JSON "
                "serializable to be able to generate swagger schema from it. Actual error: "
                f"{error}"
            ) from error
        return schema
