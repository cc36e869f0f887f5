"""JSON's values to arrays and back, with nothing lost or made up on the way.

A number out of the datatype's range, a null, a text for a number, lists of uneven length: each is
refused with the place where it stands. numpy alone would wrap, cast or guess.
"""

from collections.abc import Iterable
from typing import Any

import numpy as np
import orjson

from modelfleet_runtime.errors import BadInput, EngineBroken, Limit
from modelfleet_runtime.protocols.numbers import Numbers
from modelfleet_runtime.signature import Array, DType

JSON_DEPTH = 1024
"""orjson's own bound. A lower one would have to look at the text once more, which costs a fifth to
a half of the parsing; nothing here recurses into what was parsed."""

DIMENSIONS = 32
"""Of a tensor, in every protocol. numpy ends at 64, and a row's dimension has to fit in."""

_KINDS = {"b": "true and false", "i": "whole numbers", "u": "whole numbers", "f": "numbers"}


def parse(body: bytes) -> Any:
    """Raises `BadInput`; orjson bounds the depth and refuses NaN and bare text."""
    if not body:
        raise BadInput("the body is empty; send a JSON object")
    try:
        return orjson.loads(body)
    except orjson.JSONDecodeError as error:
        if "depth limit" in str(error):
            raise BadInput(
                f"the JSON is nested more than {JSON_DEPTH} deep", Limit.JSON_DEPTH
            ) from error
        raise BadInput(f"the body is not valid JSON: {error}") from error


def to_array(value: Any, dtype: DType | None, where: str) -> Array:
    """Nested lists (or one scalar) as an array of that datatype.

    `Numbers` may give an array of one dimension, however they were nested. With None the datatype
    follows the values: FP32, INT64, BOOL or BYTES.
    Raises `BadInput` that begins with `where`.
    """
    if isinstance(value, Numbers):
        flat = None if dtype is None else value.flat(dtype)
        if flat is not None:
            assert dtype is not None
            return _cast(flat, dtype, where)
        value = value.plain()
    if dtype is DType.BYTES:
        return _text(value, where)
    if _holds_text(value):
        # numpy would give every value the room of the longest text.
        if dtype is None:
            return _text(value, where)
        expected = "true and false" if dtype is DType.BOOL else "numbers"
        raise BadInput(f"{where}: text where {expected} are expected")
    try:
        array = np.array(value)
    except (ValueError, OverflowError, RecursionError, MemoryError) as error:
        raise BadInput(f"{where}: the lists in it are not of even length") from error
    if array.ndim > DIMENSIONS:
        raise BadInput(f"{where} has more than {DIMENSIONS} dimensions")
    kind = array.dtype.kind
    if dtype is None:
        dtype = {"f": DType.FP32, "i": DType.INT64, "u": DType.UINT64, "b": DType.BOOL}.get(kind)
        if dtype is None:
            raise BadInput(f"{where}: {_what(array)} among its values")
    elif kind == "f" and array.size and dtype.numpy.kind in "iu":
        # numpy makes fractions of whole numbers where some need UINT64 and others do not.
        exact = np.array(value, dtype=object)
        if all(type(number) is int for number in exact.flat):
            return _within(exact, dtype, where)
    return _cast(array, dtype, where)


def _cast(array: Array, dtype: DType, where: str) -> Array:
    target = dtype.numpy
    kind, wanted = array.dtype.kind, target.kind
    if array.size == 0:
        return array.astype(target)
    if wanted == "f":
        if kind not in "fiu":
            raise BadInput(f"{where}: {_what(array)} where {_KINDS['f']} are expected")
        try:
            with np.errstate(over="raise"):
                return array.astype(target)
        except FloatingPointError as error:
            raise BadInput(f"{where}: a number is out of the range of {dtype}") from error
    if wanted == "b":
        if kind == "b":
            return array
        if kind not in "iu" or array.min() < 0 or array.max() > 1:
            raise BadInput(f"{where}: {_what(array)} where {_KINDS['b']} are expected")
        return array.astype(target)
    if kind not in "iu":
        raise BadInput(f"{where}: {_what(array)} where {_KINDS['i']} are expected")
    return _within(array, dtype, where)


def _within(array: Array, dtype: DType, where: str) -> Array:
    """Whole numbers as that datatype. Raises `BadInput` where one is out of its range."""
    target = dtype.numpy
    bounds = np.iinfo(target)  # type: ignore[type-var]
    if int(array.min()) < bounds.min or int(array.max()) > bounds.max:
        raise BadInput(f"{where}: a number is out of the range of {dtype}")
    return array.astype(target, copy=False)


def _text(value: Any, where: str) -> Array:
    texts: list[bytes] = []
    shape = _walk(value, texts, where, 0)
    array = np.empty(len(texts), dtype=object)
    array[:] = texts
    return array.reshape(shape)


def _walk(value: Any, texts: list[bytes], where: str, depth: int) -> tuple[int, ...]:
    if isinstance(value, str):
        texts.append(value.encode())
        return ()
    if not isinstance(value, list) or depth >= DIMENSIONS:
        raise BadInput(f"{where}: a {type(value).__name__} where texts are expected")
    shapes = {_walk(item, texts, where, depth + 1) for item in value}
    if len(shapes) > 1:
        raise BadInput(f"{where}: the lists in it are not of even length")
    return (len(value), *(shapes.pop() if shapes else ()))


def _holds_text(value: Any) -> bool:
    """Whether a text stands anywhere in nested lists; without recursion, as deep as they are."""
    left = [value]
    while left:
        one = left.pop()
        if isinstance(one, str):
            return True
        if isinstance(one, list):
            kinds = set(map(type, one))
            if str in kinds:
                return True
            if list in kinds:
                left.extend(inner for inner in one if type(inner) is list)
    return False


def _what(array: Array) -> str:
    names = {"U": "text", "b": "true or false", "f": "a fraction", "i": "a number", "u": "a number"}
    return names.get(array.dtype.kind, "null, an object or a huge number")


def dump(value: Any, floats: Iterable[tuple[str, Array]]) -> bytes:
    """JSON of a value that holds arrays. `floats` are its outputs, by name.

    Raises `BadInput` for NaN and infinity, which JSON cannot carry and orjson writes as null.
    """
    try:
        body = orjson.dumps(value, _plain, orjson.OPT_SERIALIZE_NUMPY)
    except (TypeError, ValueError) as error:
        cause = error.__cause__
        if isinstance(cause, (BadInput, EngineBroken)):
            raise cause from error
        raise EngineBroken("the model's answer cannot be written as JSON") from error
    if b"null" in body:
        for name, array in floats:
            if array.dtype.kind == "f" and not np.isfinite(array).all():
                raise BadInput(
                    f"output {name!r} holds NaN or infinity, which JSON cannot carry; ask for it "
                    "as binary data of the Open Inference Protocol"
                )
    return body


def _plain(value: Any) -> Any:
    if isinstance(value, np.ndarray):  # not contiguous, or of objects
        return value.tolist()
    if isinstance(value, np.generic):
        return value.item()
    if isinstance(value, bytes):
        try:
            return value.decode()
        except UnicodeDecodeError as error:
            raise BadInput(
                "an output holds bytes that are not UTF-8, which JSON cannot carry; ask for it as "
                "binary data of the Open Inference Protocol"
            ) from error
    raise TypeError
