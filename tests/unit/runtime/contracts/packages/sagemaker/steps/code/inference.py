"""`model_fn` and `predict_fn`; input and output as the toolkit does them."""

import os
import sys
from typing import Any

import numpy as np
from sagemaker_inference import errors


def model_fn(model_dir: str) -> dict[str, Any]:
    return {"there": os.path.isdir(model_dir), "scale": 2}


def predict_fn(data: Any, model: dict[str, Any]) -> Any:
    if data.shape == () and data.dtype.kind == "U":
        what = str(data)
        if what == "raise":
            raise ValueError("boom")
        if what == "told":
            raise errors.BaseInferenceToolkitError(422, "not that", "phrase")
        if what == "generic":
            raise errors.GenericInferenceToolkitError(413)
        if what == "exit":
            sys.exit(3)
        if what == "there":
            return [model["there"]]
        if what == "set":
            return {1}
        if what == "float":
            return 1.5
        if what == "named":
            return {"a": np.arange(3)}
    return data * model["scale"]
