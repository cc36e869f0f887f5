"""Changes that make a right request nearly right, as Hypothesis strategies."""

import json
from typing import Any

from hypothesis import strategies as st

junk = st.recursive(
    st.one_of(
        st.none(),
        st.booleans(),
        st.integers(-(2**70), 2**70),
        st.floats(allow_nan=False),
        st.text(max_size=8),
        st.just([0.0] * 64),
    ),
    lambda inner: st.one_of(
        st.lists(inner, max_size=3), st.dictionaries(st.text(max_size=8), inner, max_size=3)
    ),
    max_leaves=5,
)


def places(value: Any, path: tuple[Any, ...] = ()) -> list[tuple[Any, ...]]:
    found = [path]
    items: list[tuple[Any, Any]] = []
    if isinstance(value, dict):
        items = list(value.items())
    elif isinstance(value, list) and len(value) < 10:
        items = list(enumerate(value))
    for key, inner in items:
        found += places(inner, (*path, key))
    return found


@st.composite
def changed(draw: st.DrawFn, good: dict[str, Any]) -> bytes:
    """The JSON of `good` with one or two things changed in it."""
    value = json.loads(json.dumps(good))
    for _ in range(draw(st.integers(1, 2))):
        place = draw(st.sampled_from(places(value)))
        if not place:
            continue
        holder = value
        for key in place[:-1]:
            holder = holder[key]
        match draw(st.sampled_from(["drop", "junk", "rename"])):
            case "drop":
                del holder[place[-1]]
            case "junk":
                holder[place[-1]] = draw(junk)
            case "rename" if isinstance(holder, dict):
                holder[draw(st.text(max_size=6))] = holder.pop(place[-1])
    return json.dumps(value).encode()


@st.composite
def broken(draw: st.DrawFn, good: bytes) -> bytes:
    """Bytes turned, put in, left out or cut off."""
    made = bytearray(good)
    for _ in range(draw(st.integers(1, 4))):
        at = draw(st.integers(0, max(0, len(made) - 1)))
        match draw(st.sampled_from(["turn", "put", "leave", "cut"])):
            case "turn" if made:
                made[at] = draw(st.integers(0, 255))
            case "put":
                made[at:at] = draw(st.binary(max_size=4))
            case "leave":
                del made[at : at + draw(st.integers(1, 8))]
            case "cut":
                del made[at:]
    return bytes(made)
