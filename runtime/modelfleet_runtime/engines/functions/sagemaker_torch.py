"""What SageMaker's PyTorch containers do for functions that `inference.py` does not have."""

import importlib
from pathlib import Path
from typing import Any

import torch

_NAME = "model.pt"


class TorchDefaults:
    def __init__(self) -> None:
        self._device = torch.device("cuda" if torch.cuda.is_available() else "cpu")
        self._decoder = importlib.import_module("sagemaker_inference.decoder")
        self._encoder = importlib.import_module("sagemaker_inference.encoder")
        self._errors = importlib.import_module("sagemaker_inference.errors")

    def default_model_fn(self, model_dir: str) -> Any:
        file = Path(model_dir, _NAME)
        if not file.exists():
            files = sorted(p for p in Path(model_dir).iterdir() if p.suffix in (".pt", ".pth"))
            if len(files) != 1:
                names = [p.name for p in files]
                raise ValueError(
                    f"Exactly one .pth or .pt file is required for PyTorch models: {names}"
                )
            file = files[0]
        return torch.jit.load(str(file), map_location=self._device)

    def default_input_fn(self, input_data: Any, content_type: str) -> Any:
        array = self._decoder.decode(input_data, content_type)
        text = content_type in ("application/json", "text/csv")
        return (torch.FloatTensor(array) if text else torch.from_numpy(array)).to(self._device)

    def default_predict_fn(self, data: Any, model: Any) -> Any:
        with torch.no_grad():
            return model.to(self._device).eval()(data.to(self._device))

    def default_output_fn(self, prediction: Any, accept: str) -> Any:
        if isinstance(prediction, torch.Tensor):
            prediction = prediction.detach().cpu().numpy().tolist()
        for kind in accept.replace(" ", "").split(","):
            if kind in self._encoder.SUPPORTED_CONTENT_TYPES:
                encoded = self._encoder.encode(prediction, kind)
                return encoded.encode() if kind == "text/csv" else encoded
        raise self._errors.UnsupportedFormatError(accept)
