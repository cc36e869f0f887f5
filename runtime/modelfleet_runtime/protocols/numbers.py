"""Long lists of numbers out of JSON, without a Python object for each.

Most of a JSON inference is one list of numbers. simdjson reads it into an array directly, which
takes a third of the time. It is used only where it reads what the ordinary parser would have read:
whatever it does not take, or takes otherwise, goes the ordinary way, which says what is wrong.
"""

import threading
from collections.abc import Callable
from typing import Any

import numpy as np
import simdjson

from modelfleet_runtime.signature import Array, DType

WORTH = 512
"""Bytes. A shorter text is read no faster."""
KEPT = 1 << 20
"""Bytes. A parser keeps several times as much as its longest text, so a longer one has its own."""
_KINDS = {"f": ("d", np.dtype(np.float64)), "i": ("i", np.dtype(np.int64)),
          "u": ("u", np.dtype(np.uint64))}  # fmt: skip


class Numbers:
    """A list that is not read yet. It has to be gone before the next text is parsed."""

    __slots__ = ("_list",)

    def __init__(self, proxy: Any) -> None:
        self._list = proxy

    def flat(self, dtype: DType) -> Array | None:
        """Its values in one dimension, as 64-bit numbers of the datatype's kind; None where it
        does not hold such numbers, and nothing else."""
        kind = _KINDS.get(dtype.numpy.kind)
        if kind is None:
            return None
        try:
            return np.frombuffer(self._list.as_buffer(of_type=kind[0]), kind[1])
        except (TypeError, ValueError):
            return None

    def plain(self) -> list[Any]:
        """As the ordinary parser gives it."""
        values: list[Any] = self._list.as_list()
        return values


class Parser(threading.local):
    """Each thread has its own."""

    def __init__(self) -> None:
        self._parser = simdjson.Parser()

    def parse(self, text: bytes) -> dict[str, Any] | None:
        """An object whose lists below `inputs[].data` are `Numbers`; None where the ordinary
        parser has to look."""
        if not text.startswith(b"{"):  # it would skip a byte order mark
            return None
        parser = self._parser if len(text) <= KEPT else simdjson.Parser()
        try:
            return _object(parser.parse(text), _TOP)
        except (ValueError, KeyError):  # KeyError: it does not find keys that hold a NUL
            return None
        except RuntimeError:  # something of the text before is still referred to
            self._parser = simdjson.Parser()
            return None


def _inputs(value: Any) -> Any:
    if not isinstance(value, simdjson.Array):
        return _plain(value)
    return [
        _object(item, _INPUT) if isinstance(item, simdjson.Object) else _plain(item)
        for item in value
    ]


def _data(value: Any) -> Any:
    return Numbers(value) if isinstance(value, simdjson.Array) else _plain(value)


_Readers = dict[str, Callable[[Any], Any]]
_TOP: _Readers = {"inputs": _inputs}
_INPUT: _Readers = {"data": _data}


def _object(proxy: Any, readers: _Readers) -> dict[str, Any]:
    # Its own items() would read all that is below them.
    keys = list(proxy.keys())
    read = {key: readers.get(key, _plain)(proxy[key]) for key in keys}
    if len(read) != len(keys):
        raise _TwiceError
    return read


def _plain(value: Any) -> Any:
    if isinstance(value, simdjson.Object):
        return value.as_dict()
    if isinstance(value, simdjson.Array):
        return value.as_list()
    return value


class _TwiceError(ValueError):
    """A key is there twice: the two parsers would take different ones."""
