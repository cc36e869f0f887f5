"""A bound on the images that a model's own code opens: a few kilobytes can unfold to gigabytes.

Pillow has such a bound, above which it warns, and fails at twice of it. Here what goes beyond
fails, and the client hears why.
"""

import importlib
import os
import warnings
from typing import Any

from modelfleet_runtime.errors import Limit, TooLarge
from modelfleet_runtime.settings import image_pixels


class ImageBound:
    """Of one process."""

    def __init__(self) -> None:
        self._most = image_pixels(os.environ)
        self._errors: tuple[type[BaseException], ...] = ()

    def hold(self) -> None:
        """From now on, where Pillow is installed. It is imported, since the model's code may do so
        with the first image only."""
        try:
            image: Any = importlib.import_module("PIL.Image")
        except ImportError:
            return
        image.MAX_IMAGE_PIXELS = self._most
        warnings.filterwarnings("error", category=image.DecompressionBombWarning)
        self._errors = (image.DecompressionBombWarning, image.DecompressionBombError)

    def exceeded(self, error: BaseException) -> TooLarge | None:
        """What the client hears when `error` is Pillow's."""
        if not isinstance(error, self._errors):
            return None
        return TooLarge(f"an image has more than {self._most} pixels", Limit.PIXELS)
