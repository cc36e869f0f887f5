"""`@input_schema` and `@output_schema`: what `run` takes and gives, said by samples."""

import functools
import inspect
from collections.abc import Callable
from typing import Any

from .parameter_types.abstract_parameter_type import AbstractParameterType
from .schema_util import MARK

_Run = Callable[..., Any]


def input_schema(
    param_name: str,
    param_type: AbstractParameterType,
    convert_to_provided_type: bool = True,
    optional: bool = False,
) -> Callable[[_Run], _Run]:
    """The parameter is given as what its sample is, made from the JSON."""
    _check(param_type)
    schema = param_type.input_to_swagger()
    example = schema.pop("example")

    def decorate(run: _Run) -> _Run:
        signature = inspect.signature(run)
        if param_name not in signature.parameters:
            raise Exception(
                f'Error, provided param_name "{param_name}" is not in the decorated function.'
            )

        @functools.wraps(run)
        def with_input(*args: Any, **kwargs: Any) -> Any:
            bound = signature.bind_partial(*args, **kwargs)
            value = bound.arguments.get(param_name)
            if convert_to_provided_type and not (optional and not value):
                bound.arguments[param_name] = _converted(value, param_type)
            return run(*bound.args, **bound.kwargs)

        marks = _marks(with_input)
        told = marks.setdefault("input", _empty(list(signature.parameters)))
        told["properties"][param_name] = schema
        told["example"][param_name] = example
        # Of several inputs the outermost counts, as the decorators of the original have it.
        marks["versions"]["input"] = param_type.supported_versions()
        return with_input

    return decorate


def output_schema(output_type: AbstractParameterType) -> Callable[[_Run], _Run]:
    """For the documentation alone."""
    _check(output_type)

    def decorate(run: _Run) -> _Run:
        @functools.wraps(run)
        def with_output(*args: Any, **kwargs: Any) -> Any:
            return run(*args, **kwargs)

        marks = _marks(with_output)
        if "output" in marks:
            raise Exception(
                f"Error, output schema already defined for function: {run.__module__}."
                f"{run.__name__}."
            )
        marks["output"] = output_type.input_to_swagger()
        marks["versions"]["output"] = output_type.supported_versions()
        return with_output

    return decorate


def _check(kind: object) -> None:
    if not isinstance(kind, AbstractParameterType):
        raise Exception("Error, provided param_type must be a subclass of AbstractParameterType.")


def _marks(function: Any) -> dict[str, Any]:
    """One dictionary for all decorators of a function; `wraps` hands it from one to the next."""
    if not hasattr(function, MARK):
        setattr(function, MARK, {"versions": {}})
    marks: dict[str, Any] = getattr(function, MARK)
    return marks


def _empty(names: list[str]) -> dict[str, Any]:
    return {
        "type": "object",
        "properties": {name: {} for name in names},
        "example": dict.fromkeys(names, ""),
    }


def _converted(value: Any, kind: AbstractParameterType) -> Any:
    sample = kind.sample_data_type
    if sample is dict:
        if not isinstance(value, dict):
            raise ValueError(_expected(sample, value))
        for key, inner in getattr(kind, "sample_data_type_map", {}).items():
            if key in value:
                value[key] = _converted(value[key], inner)
        return value
    if sample in (list, tuple):
        if not isinstance(value, (list, tuple)):
            raise ValueError(_expected(sample, value))
        inner = next(iter(getattr(kind, "sample_data_type_list", [])), None)
        return value if inner is None else [_converted(item, inner) for item in value]
    return value if isinstance(value, sample) else kind.deserialize_input(value)


def _expected(sample: type, value: object) -> str:
    return f"Invalid input data type to parse. Expected: {sample} but got {type(value)}"
