"""Where a model comes from and what it is."""

from enum import StrEnum
from typing import Final
from urllib.parse import urlsplit

from pydantic import Field

from modelfleet_contract.base import Shared

DIGEST_PATTERN: Final = r"^sha256:[0-9a-f]{64}$"
URI_PATTERN: Final = r"^(file|pvc|http|https)://[^\s?#]+$"


class ModelFormat(StrEnum):
    """What kind of package the model is."""

    AUTO = "auto"
    """Look into the package and decide."""
    ONNX = "onnx"
    """An ONNX file, or a folder that holds one `model.onnx`."""
    TORCHSCRIPT = "torchscript"
    """A TorchScript file (`.pt`, `.ts`), or a folder that holds one `model.pt`."""
    PT2 = "pt2"
    """A program of torch.export or a package of AOTInductor (`.pt2`), or a folder that holds one
    `model.pt2`."""
    PYTHON = "python"
    """A folder with a `model.py` that defines one class with `predict`."""
    TORCHSERVE = "torchserve"
    """An archive of TorchServe (`.mar`), or a folder that holds one, packed or unpacked."""
    SAGEMAKER = "sagemaker"
    """What SageMaker's inference toolkit serves: a folder with `code/inference.py`, or its
    `model.tar.gz`."""
    AZUREML = "azureml"
    """What Azure ML's inference server serves: a folder with a `score.py` that has `init` and
    `run`."""
    VERTEX = "vertex"
    """A custom prediction routine of Vertex AI: a folder with a `predictor.py`."""


class Scheme(StrEnum):
    """The kinds of address a model can have."""

    FILE = "file"
    """A path inside the pod (an image's own file, or a volume of the pod template)."""
    PVC = "pvc"
    """`pvc://CLAIM/PATH`: a path on a PersistentVolumeClaim of the same namespace."""
    HTTP = "http"
    HTTPS = "https"


FETCHED_SCHEMES: Final = frozenset({Scheme.HTTP, Scheme.HTTPS})
"""Addresses that an init step of the pod copies onto a volume before the model is loaded."""


class ModelSource(Shared):
    """The model of one revision: where it is, and how it is proved to be the one that was meant."""

    uri: str = Field(pattern=URI_PATTERN, max_length=2048)
    """The address: file:///path, pvc://claim/path, http://host/path or https://host/path."""

    digest: str | None = Field(default=None, pattern=DIGEST_PATTERN, max_length=71)
    """sha256:... of the bytes at the address (of the archive, where it is one)."""

    format: ModelFormat = ModelFormat.AUTO
    """What kind of package it is. Default auto: look into it and decide."""

    version: str | None = Field(default=None, min_length=1, max_length=63)
    """The label that people see; it names the version in answers and metrics."""

    @property
    def scheme(self) -> Scheme:
        return Scheme(urlsplit(self.uri).scheme)

    @property
    def fetched(self) -> bool:
        """Whether a step before serving has to copy the model from its address."""
        return self.scheme in FETCHED_SCHEMES

    @property
    def claim(self) -> str | None:
        """The PersistentVolumeClaim's name, None for any other kind of address."""
        return urlsplit(self.uri).netloc if self.scheme is Scheme.PVC else None

    @property
    def path(self) -> str:
        """What follows the host or claim, without the leading slash."""
        return urlsplit(self.uri).path.lstrip("/")
