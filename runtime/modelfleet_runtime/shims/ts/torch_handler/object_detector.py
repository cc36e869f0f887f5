"""Boxes, labels and scores of what is surely enough in an image."""

from typing import Any

from torchvision import transforms

from ..utils.util import map_class_to_label
from .vision_handler import VisionHandler


class ObjectDetector(VisionHandler):
    image_processing = transforms.Compose([transforms.ToTensor()])
    threshold = 0.5

    def postprocess(self, data: Any) -> Any:
        return [self._found(row) for row in data]

    def _found(self, row: Any) -> list[dict[str, Any]]:
        sure = row["scores"] >= self.threshold
        found = []
        for box, label, score in zip(
            row["boxes"][sure].tolist(),
            row["labels"][sure].tolist(),
            row["scores"][sure].tolist(),
            strict=True,
        ):
            named = map_class_to_label([[box]], self.mapping, [[label]])[0]
            found.append(named | {"score": score})
        return found
