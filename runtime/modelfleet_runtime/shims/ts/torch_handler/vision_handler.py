"""What the handlers for images share: an image's bytes, its base64 text, or a list of numbers."""

import base64
import io
from abc import ABC
from typing import Any

import torch
from PIL import Image

from ..handler_utils.timer import timed
from .base_handler import BaseHandler


class VisionHandler(BaseHandler, ABC):
    image_processing: Any
    """From an image to a tensor."""

    @timed
    def preprocess(self, data: Any) -> Any:
        return torch.stack([self._tensor(row) for row in data]).to(self.device)

    def _tensor(self, row: Any) -> Any:
        image = row.get("data") or row.get("body")
        if isinstance(image, str):
            image = base64.b64decode(image)
        if isinstance(image, (bytes, bytearray)):
            return self.image_processing(Image.open(io.BytesIO(image)))
        return torch.FloatTensor(image)

    def get_insights(self, tensor_data: Any, _: Any, target: Any = 0) -> Any:
        try:
            from captum.attr import IntegratedGradients
        except ImportError as error:
            raise RuntimeError("explanations need captum, which this image lacks") from error
        found = IntegratedGradients(self.model).attribute(tensor_data, target=target, n_steps=15)
        return found.tolist()
