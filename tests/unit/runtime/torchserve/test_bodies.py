"""A request's body as the fields that a handler sees, and whole requests as rows."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from modelfleet_runtime import whole
from modelfleet_runtime.errors import BadInput
from modelfleet_runtime.protocols.torchserve.bodies import MOST_FIELDS, fields_of
from modelfleet_runtime.whole import Field, Measure, WholeAnswer, WholeRequest
from tests.unit.runtime.torchserve.cases import multipart, part

FORM = "application/x-www-form-urlencoded"

FIELDS: list[tuple[str, str, bytes, tuple[Field, ...]]] = [
    ("no type", "", b"\xff", (Field("body", "", b"\xff"),)),
    ("a type", "image/png", b"x", (Field("body", "image/png", b"x"),)),
    ("JSON", "application/json", b"{}", (Field("body", "application/json", b"{}"),)),
    ("a form", FORM, b"a=1&b=", (Field("a", "", b"1"), Field("b", "", b""))),
    ("a form of nothing", FORM, b"abc", ()),
    ("escapes", FORM + "; charset=utf-8", b"a=%C3%BC+x", (Field("a", "", "ü x".encode()),)),
]


@pytest.mark.parametrize(
    ("kind", "body", "fields"), [case[1:] for case in FIELDS], ids=[case[0] for case in FIELDS]
)
def test_fields(kind: str, body: bytes, fields: tuple[Field, ...]) -> None:
    assert fields_of(kind, body) == fields


def test_parts_keep_their_bytes_and_types() -> None:
    headers, body = multipart(
        part("data", b"\x00\r\n--\xff", "content-type: image/png", file="a.png"), part("b", b"")
    )
    assert fields_of(headers["content-type"], body) == (
        Field("data", "image/png", b"\x00\r\n--\xff"),
        Field("b", "", b""),
    )


BROKEN: list[tuple[str, str, bytes]] = [
    ("no boundary", "multipart/form-data", b"x"),
    ("an endless boundary", "multipart/form-data; boundary=" + "x" * 5000, b"x"),
    ("another boundary", "multipart/form-data; boundary=a", multipart(part("a", b"b"))[1]),
    ("cut off", "multipart/form-data; boundary=sep", part("a", b"b")),
    ("empty", "multipart/form-data; boundary=sep", b""),
    (
        "a part without a name",
        "multipart/form-data; boundary=sep",
        b"--sep\r\ncontent-disposition: form-data\r\n\r\nx\r\n--sep--\r\n",
    ),
    (
        "too many parts",
        "multipart/form-data; boundary=sep",
        multipart(*[part("a", b"")] * (MOST_FIELDS + 1))[1],
    ),
    ("a form that is no UTF-8", FORM, b"a=\xff"),
    ("a form of too many", FORM, b"&".join([b"a=1"] * (MOST_FIELDS + 1))),
]


@pytest.mark.parametrize(
    ("kind", "body"), [case[1:] for case in BROKEN], ids=[case[0] for case in BROKEN]
)
def test_broken_bodies_are_the_clients_fault(kind: str, body: bytes) -> None:
    with pytest.raises(BadInput):
        fields_of(kind, body)


NAMES = st.text("abcdefghij_-", min_size=1, max_size=8)
VALUES = st.binary(max_size=60).filter(lambda data: b"--sep" not in data)


@given(parts=st.lists(st.tuples(NAMES, VALUES), min_size=1, max_size=5))
def test_every_part_comes_back(parts: list[tuple[str, bytes]]) -> None:
    headers, body = multipart(*(part(name, value) for name, value in parts))
    found = fields_of(headers["content-type"], body)
    assert [(one.name, one.value) for one in found] == parts


@given(body=st.binary(max_size=200))
def test_any_body_is_read_or_refused(body: bytes) -> None:
    for kind in ("multipart/form-data; boundary=sep", FORM):
        try:
            fields_of(kind, body)
        except BadInput:
            continue


TEXT = st.text(st.characters(codec="utf-8"), max_size=10)
REQUESTS = st.builds(
    WholeRequest,
    TEXT,
    st.dictionaries(TEXT, TEXT, max_size=3),
    st.lists(st.builds(Field, TEXT, TEXT, st.binary(max_size=30)), max_size=3).map(tuple),
)
ANSWERS = st.builds(
    WholeAnswer,
    st.integers(200, 599),
    st.lists(st.tuples(TEXT, TEXT), max_size=3).map(tuple),
    st.binary(max_size=30),
    TEXT,
    st.lists(
        st.builds(
            Measure,
            TEXT,
            st.just("gauge"),
            st.floats(-1e6, 1e6),
            st.lists(st.tuples(TEXT, TEXT), max_size=2).map(tuple),
        ),
        max_size=2,
    ).map(tuple),
)


@given(request=REQUESTS, answer=ANSWERS)
def test_a_row_is_what_was_written(request: WholeRequest, answer: WholeAnswer) -> None:
    assert whole.request_of(request.row()) == request
    assert whole.answer_of(answer.row()) == answer


@given(row=st.binary(max_size=60))
def test_a_row_of_another_protocol_is_refused(row: bytes) -> None:
    with pytest.raises(BadInput, match="POST to /predictions/NAME"):
        whole.request_of(row)
