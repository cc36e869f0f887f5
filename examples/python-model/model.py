"""The nearest named colour: a Python-class model with every part that such a model may have."""

import json
from pathlib import Path
from typing import Any, ClassVar

import numpy as np


class Model:
    """RGB values in, the index of the nearest colour in `colours.json` and its distance out."""

    inputs: ClassVar = {"rgb": ("FP32", [-1, 3])}
    outputs: ClassVar = {"index": ("INT64", [-1]), "distance": ("FP32", [-1])}

    def load(self, folder: Path) -> None:
        colours = json.loads((folder / "colours.json").read_text())
        self.names = list(colours)
        self.values = np.array(list(colours.values()), np.float32)

    def predict(self, batch: dict[str, np.ndarray]) -> dict[str, np.ndarray]:
        """A whole batch at once: one row for each colour that is asked for."""
        rgb = batch["rgb"]
        if rgb.min() < 0 or rgb.max() > 255:
            raise ValueError("rgb holds a value outside 0 to 255")
        distances = np.linalg.norm(rgb[:, None] - self.values[None], axis=2)
        return {"index": distances.argmin(axis=1), "distance": distances.min(axis=1)}

    def preprocess(self, item: Any) -> np.ndarray:
        """One item of /predict, such as "#ff8800", as one row."""
        if not isinstance(item, str) or len(item) != 7 or item[0] != "#":
            raise ValueError('a colour is written like "#ff8800"')
        return np.array([list(bytes.fromhex(item[1:]))], np.float32)

    def postprocess(self, outputs: dict[str, np.ndarray]) -> dict[str, Any]:
        """One row of what predict gave, as what stands in the answer of /predict."""
        return {
            "colour": self.names[int(outputs["index"][0])],
            "distance": round(float(outputs["distance"][0]), 1),
        }
