"""Memory as short text: what the status of the resource keeps between two looks.

A text is `<what it is><version>.<base64 of its numbers and a checksum>`. Counts are kept exactly,
evidence in single precision (1e-7 of its value, far below what any decision turns on). A text that
was cut, edited, or written by a version that remembered something else is refused with a sentence;
the caller then starts afresh, which costs evidence and never gives a wrong answer.
"""

import base64
import binascii
import struct
import zlib
from collections.abc import Sequence


class BrokenText(ValueError):
    """A text that does not hold what it should. Start afresh."""


class Writer:
    """Collects numbers in the order in which a `Reader` takes them out again."""

    def __init__(self, kind: str, version: int) -> None:
        self._head = f"{kind}{version}."
        self._bytes = bytearray()

    def count(self, value: int) -> None:
        """A number >= 0 of any size; small ones are short."""
        if value < 0:
            raise ValueError(f"a count is never negative, and this is {value}")
        while value > 0x7F:
            self._bytes.append(value & 0x7F | 0x80)
            value >>= 7
        self._bytes.append(value)

    def number(self, value: float) -> None:
        """A number in double precision; infinities included."""
        self._bytes += struct.pack("<d", value)

    def numbers(self, values: Sequence[float]) -> None:
        """Numbers in single precision. How many is known to the reader."""
        self._bytes += struct.pack(f"<{len(values)}f", *values)

    def name(self, value: str) -> None:
        raw = value.encode()
        self.count(len(raw))
        self._bytes += raw

    def text(self) -> str:
        check = struct.pack("<I", zlib.crc32(self._bytes))
        return self._head + base64.b64encode(bytes(self._bytes) + check).decode("ascii")


class Reader:
    """Takes out of a text what a `Writer` of the same kind and version put in.

    Raises `BrokenText`, here or from any method, where the text is not one.
    """

    def __init__(self, text: str, kind: str, version: int) -> None:
        self._kind = kind
        head, dot, body = text.partition(".")
        if not dot or head != f"{kind}{version}":
            raise BrokenText(
                f"expected a text that begins with '{kind}{version}.', got {_short(text)}"
            )
        try:
            whole = base64.b64decode(body, validate=True)
        except (binascii.Error, ValueError) as why:
            raise BrokenText(f"the {kind} text {_short(text)} is no base64: {why}") from why
        self._bytes, check = whole[:-4], whole[-4:]
        if len(check) != 4 or struct.unpack("<I", check)[0] != zlib.crc32(self._bytes):
            raise BrokenText(f"the {kind} text {_short(text)} was cut or changed: its checksum")
        self._at = 0

    def count(self) -> int:
        value = shift = 0
        while True:
            byte = self._take(1)[0]
            value |= (byte & 0x7F) << shift
            shift += 7
            if byte < 0x80:
                return value

    def number(self) -> float:
        return float(struct.unpack("<d", self._take(8))[0])

    def numbers(self, how_many: int) -> tuple[float, ...]:
        return struct.unpack(f"<{how_many}f", self._take(4 * how_many))

    def name(self) -> str:
        try:
            return self._take(self.count()).decode()
        except ValueError as why:
            raise BrokenText(f"a name in the {self._kind} text cannot be read: {why}") from why

    def end(self) -> None:
        """Nothing may be left."""
        if self._at != len(self._bytes):
            raise BrokenText(
                f"the {self._kind} text holds {len(self._bytes) - self._at} bytes too many"
            )

    def _take(self, how_many: int) -> bytes:
        taken = self._bytes[self._at : self._at + how_many]
        if len(taken) != how_many:
            raise BrokenText(f"the {self._kind} text ends too early, at byte {len(self._bytes)}")
        self._at += how_many
        return taken


def _short(text: str) -> str:
    return repr(text if len(text) <= 24 else f"{text[:24]}...")
