"""`run` gets values by name, made from samples."""

from typing import Any

import numpy as np
from inference_schema.parameter_types.numpy_parameter_type import NumpyParameterType
from inference_schema.parameter_types.standard_py_parameter_type import (
    StandardPythonParameterType,
)
from inference_schema.schema_decorators import input_schema, output_schema

SAMPLE = np.array([[1.0, 2.0], [3.0, 4.0]])


def init() -> None:
    pass


@input_schema("data", NumpyParameterType(SAMPLE))
@input_schema("options", StandardPythonParameterType({"scale": 1.5, "names": ["a"]}))
@input_schema("flag", StandardPythonParameterType(True))
@output_schema(StandardPythonParameterType([1.0]))
def run(data: Any, options: dict[str, Any], flag: bool = False) -> Any:
    return [type(data).__name__, str(data.dtype), data.shape, options, flag, float(data.sum())]
