"""The default handler, and a predictor whose instances choose what happens."""

import os
import sys
from typing import Any

from fastapi import HTTPException
from google.cloud.aiplatform.prediction.predictor import Predictor


class Chooser(Predictor):
    def load(self, artifacts_uri: str, **kwargs: Any) -> None:
        self.there = os.path.isdir(artifacts_uri)

    def preprocess(self, prediction_input: Any) -> Any:
        if prediction_input == "preprocess":
            raise ValueError("not so")
        return prediction_input

    def predict(self, instances: Any) -> Any:
        what = instances.get("do") if isinstance(instances, dict) else None
        if what == "raise":
            raise KeyError("boom")
        if what == "http":
            raise HTTPException(
                status_code=422, detail={"why": ["that"]}, headers={"x-why": "that"}
            )
        if what == "set":
            return {1}
        if what == "exit":
            sys.exit(1)
        if what == "there":
            return {"predictions": [self.there]}
        if isinstance(instances, dict) and "instances" in instances:
            scale = (instances.get("parameters") or {}).get("scale", 1)
            return {"predictions": [one * scale for one in instances["instances"]]}
        return {"got": instances}

    def postprocess(self, prediction_results: Any) -> Any:
        return prediction_results
