"""What the handler beside it asks."""

from typing import Any

from google.cloud.aiplatform.prediction.predictor import Predictor


class Doubler(Predictor):
    def load(self, artifacts_uri: str, **kwargs: Any) -> None:
        self.factor = 2

    def predict(self, instances: Any) -> Any:
        return [one * self.factor for one in instances]
