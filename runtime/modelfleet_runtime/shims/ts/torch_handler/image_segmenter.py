"""For each pixel its likeliest class, and how likely that is."""

from typing import Any

import torch
from torchvision import transforms

from .image_classifier import IMAGENET
from .vision_handler import VisionHandler


class ImageSegmenter(VisionHandler):
    image_processing = transforms.Compose(
        [
            transforms.Resize(256),
            transforms.CenterCrop(224),
            transforms.ToTensor(),
            transforms.Normalize(**IMAGENET),
        ]
    )

    def postprocess(self, data: Any) -> Any:
        best = torch.max(torch.nn.functional.softmax(data["out"], dim=1), dim=1)
        classes = best.indices.type(best.values.dtype)
        return torch.stack([classes, best.values], dim=3).tolist()
