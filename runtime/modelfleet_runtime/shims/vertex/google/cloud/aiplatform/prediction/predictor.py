"""The class that a routine's author writes."""

from abc import ABC, abstractmethod
from typing import Any


class Predictor(ABC):
    def __init__(self) -> None:
        return

    @abstractmethod
    def load(self, artifacts_uri: str, **kwargs: Any) -> None:
        """Read the model's files."""

    def preprocess(self, prediction_input: Any) -> Any:
        return prediction_input

    @abstractmethod
    def predict(self, instances: Any) -> Any:
        """What the model gives for what `preprocess` returned."""

    def postprocess(self, prediction_results: Any) -> Any:
        return prediction_results
