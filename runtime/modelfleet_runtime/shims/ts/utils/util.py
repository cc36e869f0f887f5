"""Small things that handlers import."""

import inspect
import itertools
import json
from collections.abc import Iterable
from pathlib import Path
from types import ModuleType
from typing import Any

import yaml


class PredictionException(Exception):
    """Its message and its status become the answer."""

    def __init__(self, message: str, error_code: int = 500) -> None:
        super().__init__(message)
        self.message = message
        self.error_code = error_code

    def __str__(self) -> str:
        return f"{self.message} : {self.error_code}"


def list_classes_from_module(
    module: ModuleType, parent_class: type[Any] | None = None
) -> list[type[Any]]:
    """The classes that the module itself defines, by name."""
    own = [
        value
        for _, value in inspect.getmembers(module, inspect.isclass)
        if value.__module__ == module.__name__
    ]
    return own if parent_class is None else [c for c in own if issubclass(c, parent_class)]


def load_label_mapping(mapping_file_path: str) -> dict[str, str] | None:
    """Labels by class number as text; None where there is no such file."""
    file = Path(mapping_file_path)
    if not file.is_file():
        return None
    told = json.loads(file.read_text())
    if not isinstance(told, dict):
        raise ValueError(f'{file.name} is not an object like {{"0": "cat"}}')
    names = told.get("object_type_names")
    if isinstance(names, list):
        return {str(index): name for index, name in enumerate(names)}
    labels = {key: value[-1] if isinstance(value, list) else value for key, value in told.items()}
    for key, label in labels.items():
        if not isinstance(label, str):
            raise ValueError(f"{file.name}: the label of {key!r} is not text, nor a list of texts")
    return labels


def map_class_to_label(
    probs: list[list[Any]],
    mapping: dict[str, str] | None = None,
    lbl_classes: Iterable[Iterable[Any]] | None = None,
) -> list[dict[str, Any]]:
    """For each row its probabilities by label, or by class number where there are no labels."""
    if not isinstance(probs, list):
        raise TypeError("the probabilities are not a list of rows")
    if mapping is not None and not isinstance(mapping, dict):
        raise TypeError("the labels are not a dict")
    if lbl_classes is None:
        lbl_classes = itertools.repeat(range(len(probs[0])), len(probs))
    return [
        {
            (str(one) if mapping is None else mapping[str(one)]): value
            for one, value in zip(classes, row, strict=False)
        }
        for classes, row in zip(lbl_classes, probs, strict=False)
    ]


def get_yaml_config(yaml_file_path: str) -> Any:
    return yaml.safe_load(Path(yaml_file_path).read_text())
