"""What most handlers inherit: load the model that the manifest names; then preprocess, inference,
postprocess for each batch."""

import abc
import importlib
import logging
import time
from pathlib import Path
from typing import Any

import torch

from ..handler_utils.timer import timed
from ..utils.util import list_classes_from_module, load_label_mapping

logger = logging.getLogger(__name__)


class BaseHandler(abc.ABC):  # noqa: B024 (as handlers know it)
    def __init__(self) -> None:
        self.model: Any = None
        self.mapping: dict[str, str] | None = None
        self.device: Any = None
        self.initialized = False
        self.context: Any = None
        self.model_pt_path: str | None = None
        self.manifest: Any = None
        self.map_location: str | None = None
        self.explain = False
        self.target = 0
        self.profiler_args: dict[str, Any] = {}
        self.model_yaml_config: dict[str, Any] = {}

    def initialize(self, context: Any) -> None:
        """Raises RuntimeError where the archive holds nothing that can be loaded."""
        self.context = context
        self.model_yaml_config = context.model_yaml_config or {}
        self.manifest = context.manifest
        known = context.system_properties
        if torch.cuda.is_available() and known.get("gpu_id") is not None:
            self.map_location = "cuda"
            self.device = torch.device(f"cuda:{known['gpu_id']}")
        else:
            self.map_location = "cpu"
            self.device = torch.device("cpu")
        folder = Path(known["model_dir"])
        told = self.manifest["model"]
        weights = told.get("serializedFile")
        self.model_pt_path = str(folder / weights) if weights else None
        self.model = self._load_model(str(folder), told.get("modelFile") or "")
        self._compile()
        self.mapping = load_label_mapping(str(folder / "index_to_name.json"))
        self.initialized = True

    def _load_model(self, folder: str, model_file: str) -> Any:
        path = self.model_pt_path
        if model_file:
            model = self._load_pickled_model(folder, model_file, path)
            return model.to(self.device).eval()
        if path is None:
            raise RuntimeError("the archive names neither a serialized file nor a model file")
        match Path(path).suffix:
            case ".pt":
                return self._load_torchscript_model(path).eval()
            case ".onnx":
                return self._load_onnx_model(path)
            case ".pt2":
                return self._load_exported_model(path)
            case ".so":
                return self._load_torch_export_aot_compile(path)
        raise RuntimeError(
            f"No model weights could be loaded: {Path(path).name} is none of .pt, .onnx, .pt2 and "
            ".so, and there is no model file"
        )

    def _load_pickled_model(
        self, model_dir: str, model_file: str, model_pt_path: str | None
    ) -> Any:
        """The one class of the model file, with the weights of a state dict. Nothing but tensors is
        unpickled."""
        if not (Path(model_dir) / model_file).is_file():
            raise RuntimeError(f"Missing the {model_file} file")
        module = importlib.import_module(model_file.partition(".")[0])
        classes = list_classes_from_module(module)
        if len(classes) != 1:
            raise ValueError(
                f"Expected only one class as model definition. {model_file} has "
                f"{', '.join(one.__name__ for one in classes) or 'none'}"
            )
        model = classes[0]()
        if model_pt_path:
            weights = torch.load(model_pt_path, map_location=self.device, weights_only=True)
            model.load_state_dict(weights)
        return model

    def _load_torchscript_model(self, model_pt_path: str) -> Any:
        return torch.jit.load(model_pt_path, map_location=self.device)

    def _load_onnx_model(self, model_pt_path: str) -> Any:
        """A session of onnxruntime; the handler calls it itself."""
        import onnxruntime

        options = onnxruntime.SessionOptions()
        options.intra_op_num_threads = torch.get_num_threads()
        cuda = ["CUDAExecutionProvider"] if self.map_location == "cuda" else []
        providers = [*cuda, "CPUExecutionProvider"]
        return onnxruntime.InferenceSession(model_pt_path, options, providers=providers)

    def _load_exported_model(self, model_pt_path: str) -> Any:
        """A program of torch.export, or kernels that AOTInductor has packaged."""
        import zipfile

        with zipfile.ZipFile(model_pt_path) as opened:
            compiled = any("/aotinductor/" in name for name in opened.namelist())
        if compiled:
            return torch._inductor.aoti_load_package(model_pt_path)
        return torch.export.load(model_pt_path).module().to(self.device)

    def _load_torch_export_aot_compile(self, model_so_path: str) -> Any:
        load = getattr(torch._export, "aot_load", None)
        if load is None:
            raise RuntimeError(
                f"torch {torch.__version__} no longer loads a bare .so; package the model as .pt2 "
                "with torch._inductor.aoti_compile_and_package"
            )
        return load(model_so_path, self.map_location)

    def _compile(self) -> None:
        """As `pt2` of the model's configuration asks: `inductor`, options, or
        `{compile: {enable: true, backend: inductor}}`."""
        asked = self.model_yaml_config.get("pt2")
        if not asked:
            return
        if isinstance(asked, str):
            options: dict[str, Any] = {"backend": asked}
        elif isinstance(asked, dict):
            if "export" in asked:
                return
            options = dict(asked.get("compile", asked))
            if "compile" in asked and options.pop("enable", False) is not True:
                return
        else:
            raise ValueError("pt2 should be str or dict")
        self.model = torch.compile(self.model, **options)

    @timed
    def preprocess(self, data: Any) -> Any:
        return torch.as_tensor(data, device=self.device)

    @timed
    def inference(self, data: Any, *args: Any, **kwargs: Any) -> Any:
        with torch.inference_mode():
            return self.model(data.to(self.device), *args, **kwargs)

    @timed
    def postprocess(self, data: Any) -> Any:
        """One item for each row."""
        return data.tolist()

    def handle(self, data: Any, context: Any) -> Any:
        began = time.perf_counter()
        self.context = context
        if self._is_describe():
            made = [self.describe_handle()]
        else:
            prepared = self.preprocess(data)
            if self._is_explain():
                made = self.explain_handle(prepared, data)
            else:
                made = self.postprocess(self.inference(prepared))
        ms = round((time.perf_counter() - began) * 1000, 2)
        context.metrics.add_time("HandlerTime", ms, None, "ms")
        return made

    def explain_handle(self, data_preprocess: Any, raw_data: Any) -> Any:
        inputs, target = None, 0
        row = raw_data[0]
        if isinstance(row, dict):
            inputs = row.get("data") or row.get("body")
            target = row.get("target") or 0
        return self.get_insights(data_preprocess, inputs, target)

    def get_insights(self, tensor_data: Any, _: Any, target: Any = 0) -> Any:
        raise NotImplementedError(f"{type(self).__name__} explains nothing: it has no get_insights")

    def _is_explain(self) -> bool:
        if self.context and self.context.get_request_header(0, "explain") == "True":
            self.explain = True
            return True
        return False

    def _is_describe(self) -> bool:
        return bool(self.context and self.context.get_request_header(0, "describe") == "True")

    def describe_handle(self) -> Any:
        return None

    def get_device(self) -> Any:
        return self.device
