"""Header blocks: what HPACK's own encoder writes is read; what nobody may write is refused."""

import contextlib

import hpack
import pytest
from hypothesis import given
from hypothesis import strategies as st

from modelfleet_runtime.http2.heads import BadBlock, Heads

START = [(b":method", b"POST"), (b":scheme", b"http"), (b":path", b"/a/b")]
MOST = 64 * 1024

names = st.text("abcdefghijklmnopqrstuvwxyz0123456789-_.", min_size=1, max_size=30).filter(
    lambda name: name not in ("te", "connection", "upgrade", "keep-alive", "transfer-encoding")
)
values = st.text(st.characters(min_codepoint=0x20, max_codepoint=0x7E), max_size=60)
heads = st.lists(st.tuples(names, values), max_size=12)


def block(encoder: hpack.Encoder, pairs: list[tuple[bytes, bytes]], huffman: bool = True) -> bytes:
    return encoder.encode(pairs, huffman=huffman)


@given(st.lists(st.tuples(heads, st.booleans()), min_size=1, max_size=12))
def test_every_block_of_a_connection_is_read_as_it_was_written(
    connection: list[tuple[list[tuple[str, str]], bool]],
) -> None:
    """One encoder, one reader, whose tables have to stay the same, whatever came again."""
    encoder, reader = hpack.Encoder(), Heads(MOST)
    for pairs, huffman in connection * 2:
        encoded = [(name.encode(), value.encode()) for name, value in pairs]
        head = reader.read(block(encoder, START + encoded, huffman))
        assert head.malformed == ""
        assert (head.method, head.path) == (b"POST", b"/a/b")
        assert head.headers == dict(encoded)


@given(st.lists(st.integers(0, 4096), min_size=1, max_size=6))
def test_a_table_that_shrinks_and_grows_is_followed(sizes: list[int]) -> None:
    encoder, reader = hpack.Encoder(), Heads(MOST)
    for number, size in enumerate(sizes):
        encoder.header_table_size = size
        pairs = [(b"x-number", b"%d" % number), (b"x-same", b"v" * 100)]
        assert reader.read(block(encoder, START + pairs)).headers == dict(pairs)


@given(st.binary(max_size=200))
def test_no_bytes_but_a_bad_block_or_a_head(data: bytes) -> None:
    with contextlib.suppress(BadBlock):
        Heads(MOST).read(data)


def test_the_same_block_means_something_else_after_the_table_has_changed() -> None:
    reader = Heads(MOST)
    start = b"\x83\x86\x84"  # POST, http, /
    first_of_table = start + b"\xbe"
    reader.read(start + b"\x40\x01a\x011")
    assert reader.read(first_of_table).headers == {b"a": b"1"}
    reader.read(start + b"\x40\x01b\x012")
    assert reader.read(first_of_table).headers == {b"b": b"2"}


@pytest.mark.parametrize(
    "data",
    [
        b"\x80",  # header 0
        b"\xff\xff\xff\xff\xff\xff\xff\x0f",  # an absurd number
        b"\xbe",  # of an empty table
        b"\x00\x05ab",  # a text that ends early
        b"\x00\x7f\xff\xff\xff\xff\x0f",  # an absurd length
        b"\x3f\xe2\x1f",  # a table of 4097 bytes
        b"\x83\x20",  # the table's size after a header
        b"\x40",  # nothing after the kind
        b"\x00\x81\xff",  # no Huffman code
    ],
)
def test_a_block_that_cannot_be_read(data: bytes) -> None:
    with pytest.raises(BadBlock):
        Heads(MOST).read(data)


def test_a_block_that_stands_for_much_more_than_it_is() -> None:
    reader = Heads(1000)
    reader.read(b"\x83\x86\x84\x40\x01a\x7f\x81\x06" + b"v" * 896 + b"\x00\x01b\x00")
    with pytest.raises(BadBlock):
        reader.read(b"\x83\x86\x84" + b"\xbe" * 1000)


def head(*pairs: tuple[bytes, bytes]) -> str:
    return Heads(1000).read(block(hpack.Encoder(), list(pairs))).malformed


@pytest.mark.parametrize(
    "pairs",
    [
        START[1:],
        START[:1] + START[2:],
        START[:2],
        [*START, START[0]],
        [(b"a", b"1"), *START],
        [*START, (b":other", b"1")],
        [*START, (b":status", b"200")],
        [*START[:2], (b":path", b"")],
        [*START, (b"Upper", b"1")],
        [*START, (b"a b", b"1")],
        [*START, (b"", b"1")],
        [*START, (b"a", b"1\r\n2")],
        [*START, (b"a", b"\x00")],
        [*START, (b"connection", b"close")],
        [*START, (b"te", b"gzip")],
        [*START, (b"transfer-encoding", b"chunked")],
        [*START, (b"a", b"1" * 900)],
    ],
)
def test_what_http2_forbids_in_a_head_is_malformed(pairs: list[tuple[bytes, bytes]]) -> None:
    assert head(*pairs)


def test_a_head_as_grpc_has_it_is_not() -> None:
    assert not head(*START, (b"te", b"trailers"), (b"content-type", b"application/grpc"))
