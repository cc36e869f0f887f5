"""Bodies to numpy arrays."""

import io
import json
from collections.abc import Callable
from typing import Any

import numpy as np

from . import content_types, errors


def _json_to_numpy(string_like: Any, dtype: Any = None) -> Any:
    return np.array(json.loads(string_like), dtype=dtype)


def _csv_to_numpy(string_like: Any, dtype: Any = None) -> Any:
    return np.genfromtxt(io.StringIO(string_like), dtype=dtype, delimiter=",")


def _npy_to_numpy(npy_array: Any) -> Any:
    # The toolkit unpickles what a client sends, which lets it run code here.
    return np.load(io.BytesIO(npy_array), allow_pickle=False)


def _npz_to_sparse(npz_bytes: Any) -> Any:
    import scipy.sparse

    return scipy.sparse.load_npz(io.BytesIO(npz_bytes))


_decoder_map: dict[str, Callable[..., Any]] = {
    content_types.NPY: _npy_to_numpy,
    content_types.CSV: _csv_to_numpy,
    content_types.JSON: _json_to_numpy,
    content_types.NPZ: _npz_to_sparse,
}


def decode(obj: Any, content_type: Any) -> Any:
    decoder = _decoder_map.get(content_type)
    if decoder is None:
        raise errors.UnsupportedFormatError(content_type)
    return decoder(obj)
