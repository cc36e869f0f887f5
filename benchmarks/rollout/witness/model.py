"""A model that says which requests it has run, and that can be told to fail or to hang.

Before it answers, it sends the numbers of the batch to the program that measures. What that
program sends back is its mood from then on: nothing, `fail` or `hang`.
"""

import json
import os
import socket
import time
from pathlib import Path
from typing import Any, ClassVar

import numpy as np


class Model:
    """y [N, 2] = (number * label, label) for x [N, 1] = (number,)."""

    inputs: ClassVar = {"x": ("INT64", [-1, 1])}
    outputs: ClassVar = {"y": ("INT64", [-1, 2])}

    def load(self, folder: Path) -> None:
        given = json.loads((folder / "settings.json").read_text())
        self.label, self.seconds = given["label"], given["seconds"]
        self.fails_each: int = given["fails_each"]
        self.pod, self.mood = os.environ.get("HOSTNAME", ""), b""
        self.teller = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        self.teller.connect(tuple(given["teller"]))
        self.teller.setblocking(False)

    def predict(self, batch: dict[str, np.ndarray]) -> dict[str, Any]:
        numbers = batch["x"][:, 0]
        self._listen()
        if self.mood == b"fail" or self._fails(numbers):
            raise RuntimeError("it was told to fail")
        said = {"pod": self.pod, "label": self.label, "numbers": numbers.tolist()}
        self.teller.send(json.dumps(said).encode())
        if self.mood == b"hang":
            time.sleep(3600)
        time.sleep(self.seconds)
        return {"y": np.stack([numbers * self.label, np.full_like(numbers, self.label)], axis=1)}

    def _fails(self, numbers: np.ndarray) -> bool:
        """Number 0 is the warm-up's."""
        return bool(self.fails_each and ((numbers % self.fails_each == 0) & (numbers > 0)).any())

    def _listen(self) -> None:
        try:
            self.mood = self.teller.recv(16)
        except BlockingIOError:
            return
        except ConnectionError:
            return  # nobody listens any more
