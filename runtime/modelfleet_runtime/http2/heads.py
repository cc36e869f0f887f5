"""Header blocks to headers (HPACK, RFC 7541), and what each asks for.

A client sends the same block with nearly every call of a connection, so what came of a block is
kept. A block's meaning depends on the dynamic table; when that changes, all is forgotten.
"""

import re
from dataclasses import dataclass

from hpack import HPACKError
from hpack.huffman_table import decode_huffman
from hpack.table import HeaderTable

TABLE_BYTES = 4096
"""Of the dynamic table: what HTTP/2 gives a client that is told nothing else."""
MOST_KNOWN = 64
"""Blocks of one connection that are kept; when one more comes, all are forgotten."""
LONGEST_KNOWN = 1024
"""Bytes. A longer block is read each time."""
_ENTRY_BYTES = 32
_LARGEST_NUMBER = 1 << 28
_STATIC: tuple[tuple[bytes, bytes], ...] = ((b"", b""), *HeaderTable.STATIC_TABLE)
_FIRST_DYNAMIC = len(_STATIC)

Pairs = list[tuple[bytes, bytes]]


class BadBlock(Exception):
    """The block cannot be read; nor can any after it on the connection."""


@dataclass(frozen=True, slots=True)
class Head:
    """What a block says."""

    path: bytes
    headers: dict[bytes, bytes]
    """Without those of HTTP/2 itself; of a repeated one the last."""
    method: bytes
    malformed: str = ""
    """What RFC 9113 forbids about it, in words; empty when nothing."""


class Heads:
    """Reads the blocks of one connection, in their order."""

    def __init__(self, most_bytes: int) -> None:
        """`most_bytes` of one head's names and values; a larger head is malformed."""
        self._most_bytes = most_bytes
        self._dynamic: Pairs = []  # newest first
        self._size = 0
        self._most = TABLE_BYTES
        self._known: dict[bytes, Head] = {}

    def read(self, block: bytes) -> Head:
        """Raises `BadBlock`."""
        head = self._known.get(block)
        if head is not None:
            return head
        try:
            pairs, changed = self._decode(block)
        except (IndexError, HPACKError) as error:
            raise BadBlock("the header block cannot be read") from error
        head = _head(pairs, self._most_bytes)
        if changed:
            self._known.clear()
        elif len(block) <= LONGEST_KNOWN:
            if len(self._known) >= MOST_KNOWN:
                self._known.clear()
            self._known[block] = head
        return head

    def _decode(self, block: bytes) -> tuple[Pairs, bool]:
        """The block's headers, and whether the dynamic table is another one afterwards."""
        pairs: Pairs = []
        changed = False
        at, end = 0, len(block)
        room = self._most_bytes
        while at < end:
            byte = block[at]
            if byte & 0x80:
                index, at = _number(block, at, 0x7F)
                pairs.append(self._entry(index))
            elif byte & 0xE0 == 0x20:
                size, at = _number(block, at, 0x1F)
                if pairs or size > TABLE_BYTES:
                    raise BadBlock("the size of the header table is out of place or too large")
                self._most = size
                self._evict(0)
                changed = True
            else:
                keep = byte & 0x40
                index, at = _number(block, at, 0x3F if keep else 0x0F)
                if index:
                    name = self._entry(index)[0]
                else:
                    name, at = _text(block, at, end)
                value, at = _text(block, at, end)
                pairs.append((name, value))
                if keep:
                    self._add(name, value)
                    changed = True
            if pairs:
                # Some bytes of a block may stand for thousands each.
                room -= len(pairs[-1][0]) + len(pairs[-1][1]) + _ENTRY_BYTES
                if room < -self._most_bytes:
                    raise BadBlock("the header block is too large")
        return pairs, changed

    def _entry(self, index: int) -> tuple[bytes, bytes]:
        if index < _FIRST_DYNAMIC:
            if index == 0:
                raise BadBlock("there is no header 0")
            return _STATIC[index]
        return self._dynamic[index - _FIRST_DYNAMIC]

    def _add(self, name: bytes, value: bytes) -> None:
        size = len(name) + len(value) + _ENTRY_BYTES
        self._evict(size)
        if size <= self._most:
            self._dynamic.insert(0, (name, value))
            self._size += size

    def _evict(self, room: int) -> None:
        while self._dynamic and self._size + room > self._most:
            name, value = self._dynamic.pop()
            self._size -= len(name) + len(value) + _ENTRY_BYTES


def _number(block: bytes, at: int, mask: int) -> tuple[int, int]:
    number = block[at] & mask
    at += 1
    if number < mask:
        return number, at
    shift = 0
    while True:
        byte = block[at]
        at += 1
        number += (byte & 0x7F) << shift
        if number > _LARGEST_NUMBER or shift > 28:
            raise BadBlock("a number in the header block is too large")
        if byte < 0x80:
            return number, at
        shift += 7


def _text(block: bytes, at: int, end: int) -> tuple[bytes, int]:
    coded = block[at] & 0x80
    length, at = _number(block, at, 0x7F)
    stop = at + length
    if stop > end:
        raise BadBlock("the header block ends within a text")
    text = block[at:stop]
    return (decode_huffman(text) if coded else text), stop


_NAME = re.compile(rb"[!#$%&'*+\-.^_`|~0-9a-z]+")
_VALUE = re.compile(rb"[^\x00\r\n]*")
_HOP_BY_HOP = frozenset(
    {b"connection", b"proxy-connection", b"keep-alive", b"transfer-encoding", b"upgrade"}
)
_PSEUDO = frozenset({b":method", b":scheme", b":path", b":authority"})


def _head(pairs: Pairs, most_bytes: int) -> Head:
    headers: dict[bytes, bytes] = {}
    pseudo: dict[bytes, bytes] = {}
    size = 0
    malformed = ""
    for name, value in pairs:
        size += len(name) + len(value) + _ENTRY_BYTES
        if name.startswith(b":"):
            if headers or name in pseudo or name not in _PSEUDO:
                malformed = "a pseudo-header is unknown, repeated or out of place"
            pseudo[name] = value
        elif not _NAME.fullmatch(name) or not _VALUE.fullmatch(value):
            malformed = "a header has characters that are not allowed"
        elif name in _HOP_BY_HOP or (name == b"te" and value != b"trailers"):
            malformed = "a header is of one connection, and HTTP/2 has none"
        else:
            headers[name] = value
    path, method = pseudo.get(b":path", b""), pseudo.get(b":method", b"")
    if not malformed and not (path and method and pseudo.get(b":scheme")):
        malformed = "a pseudo-header is missing"
    if size > most_bytes:
        malformed = f"the headers are larger than {most_bytes} bytes"
    return Head(path, headers, method, malformed)
