"""Pandas data frames, where the image has pandas."""

import io
import json
from typing import Any

import pandas as pd

from .abstract_parameter_type import AbstractParameterType
from .standard_types import dict_schema, list_schema

_ORIENTS = ("split", "records", "index", "columns", "values", "table")


class PandasParameterType(AbstractParameterType):
    """The sample's column types and number of columns hold for the input."""

    def __init__(
        self,
        sample_input: Any,
        enforce_column_type: bool = True,
        enforce_shape: bool = True,
        apply_column_names: bool = False,
        orient: str = "records",
    ) -> None:
        if not isinstance(sample_input, pd.DataFrame):
            raise Exception(
                "Invalid sample input provided, must provide a sample Pandas Dataframe."
            )
        if orient not in _ORIENTS:
            raise Exception(f"Invalid orient provided, must be one of {_ORIENTS}")
        super().__init__(sample_input)
        self.enforce_column_type = enforce_column_type
        self.enforce_shape = enforce_shape
        self.apply_column_names = apply_column_names
        self.orient = orient

    def deserialize_input(self, input_data: Any) -> Any:
        if isinstance(input_data, pd.DataFrame):
            return input_data
        if not isinstance(input_data, (list, dict)):
            raise Exception(
                f"Error, unable to convert input of type {type(input_data)} into Pandas Dataframe"
            )
        text = io.StringIO(json.dumps(input_data))
        frame = pd.read_json(text, orient=self.orient, dtype=False)
        if self.apply_column_names:
            frame.columns = self.sample_input.columns.copy()
        if self.enforce_column_type:
            kinds = self.sample_input.dtypes.to_dict()
            wanted = {name: kinds.get(name, object) for name in frame.columns}
            for name, kind in wanted.items():
                if str(kind).startswith("timedelta"):
                    frame[name] = pd.to_timedelta(frame[name])
            frame = frame.astype(dtype=wanted)
        if self.enforce_shape and frame.shape[1] != self.sample_input.shape[1]:
            raise ValueError(
                f"Invalid input data frame: data frame has size {frame.shape[1]} on dimension #1, "
                f"while expected value is {self.sample_input.shape[1]}"
            )
        return frame

    def input_to_swagger(self) -> dict[str, Any]:
        sample = json.loads(self.sample_input.to_json(orient=self.orient, date_format="iso"))
        listed = self.orient in ("records", "values")
        schema = list_schema(sample) if listed else dict_schema(sample)
        if self.orient == "records":
            for name, kind in self.sample_input.dtypes.items():
                for prefix, told in (("datetime", "date-time"), ("timedelta", "timedelta")):
                    if str(kind).startswith(prefix):
                        schema["items"]["properties"][str(name)]["format"] = told
        schema["format"] = f"pandas.DataFrame:{self.orient}"
        return schema
