"""A handler as TorchServe's users write them; nothing in it is of modelfleet."""

import torch
from ts.torch_handler.base_handler import BaseHandler
from ts.utils.util import PredictionException


class DigitsHandler(BaseHandler):
    def preprocess(self, data):
        rows = [row.get("body") or row.get("data") for row in data]
        for pixels in rows:
            if not isinstance(pixels, list) or len(pixels) != 64:
                raise PredictionException("send a JSON list of 64 pixels", 400)
        return torch.tensor(rows, dtype=torch.float32, device=self.device)

    def postprocess(self, scores):
        chances, digits = torch.softmax(scores, dim=1).max(dim=1)
        self.context.metrics.add_counter("DigitsRead", len(digits))
        return [
            {"digit": self.mapping[str(digit)], "probability": round(chance, 3)}
            for digit, chance in zip(digits.tolist(), chances.tolist(), strict=True)
        ]
