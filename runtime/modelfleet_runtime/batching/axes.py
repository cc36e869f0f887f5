"""What may be padded in a model, out of what is asked for and what the model's package says."""

from collections.abc import Mapping

from modelfleet_contract import Batching
from modelfleet_runtime.batching.padding import Axes, Axis, Padding, holds
from modelfleet_runtime.signature import Signature, TensorSpec

_MOST_DIMENSIONS = 8
"""Of an input about which the package says nothing."""


def padding_for(batching: Batching, signature: Signature) -> Padding | None:
    """None where nothing is to be padded.

    Raises `ValueError` that says what cannot be, or would have no effect.
    """
    if not batching.padding or not signature.batched:
        return None
    values = {one.input: one.value for one in batching.padding}
    specs = {name: _checked(name, value, signature) for name, value in values.items()}
    axis_of = _names(specs, signature)
    axes: dict[str, Axes] = {
        name: tuple((place, axis_of.get(_name(spec, place), place)) for place in _free(spec))
        for name, spec in specs.items()
    }
    _check_shared(axes, specs, signature)
    others = tuple({(place, axis): None for of in axes.values() for place, axis in of})
    outputs = {spec.name: _follows(spec, axes, axis_of, signature) for spec in signature.outputs}
    return Padding(values, axes, outputs, others)


def _checked(name: str, value: int, signature: Signature) -> TensorSpec:
    spec = next((spec for spec in signature.inputs if spec.name == name), None)
    if spec is None:
        if signature.inputs:
            names = ", ".join(repr(spec.name) for spec in signature.inputs)
            raise ValueError(f"batching.padding names the input {name!r}; the model takes {names}")
        return TensorSpec(name)
    if spec.shape is not None and -1 not in spec.shape[1:]:
        raise ValueError(f"batching.padding names the input {name!r}, whose rows have one shape")
    if spec.dtype is not None:
        if spec.dtype.itemsize is None:
            raise ValueError(f"batching.padding names the input {name!r}, which is text")
        if not holds(spec.dtype.numpy, value):
            raise ValueError(
                f"batching.padding adds {value} to the input {name!r}, "
                f"which is {spec.dtype} and cannot hold it"
            )
    return spec


def _free(spec: TensorSpec) -> list[int]:
    """Places of the dimensions that may have any size, the rows' left out."""
    if spec.shape is None:
        return list(range(1, _MOST_DIMENSIONS))
    return [n for n, size in enumerate(spec.shape) if n and size == -1]


def _name(spec: TensorSpec, dimension: int) -> str | None:
    return spec.dims[dimension] if spec.dims and dimension < len(spec.dims) else None


def _names(specs: Mapping[str, TensorSpec], signature: Signature) -> dict[str | None, Axis]:
    """The axis of each of the package's names for dimensions that may grow; none where it does not
    name them all. Names are one axis where an output's dimension could follow either of them."""
    of_place: dict[int, list[str]] = {}
    for spec in specs.values():
        for place in _free(spec):
            name = _name(spec, place)
            if name is None:
                return {}
            of_place.setdefault(place, []).append(name)
    axis_of: dict[str | None, Axis] = {name: name for of in of_place.values() for name in of}
    known = {name for spec in signature.inputs for name in spec.dims or ()}
    for output in signature.outputs or (TensorSpec(""),):
        for place in _free(output):
            if _name(output, place) not in known:
                one = {axis_of[name] for name in of_place.get(place, ())}
                axis_of = {n: min(map(str, one)) if a in one else a for n, a in axis_of.items()}
    return axis_of


def _check_shared(
    axes: Mapping[str, Axes], specs: Mapping[str, TensorSpec], signature: Signature
) -> None:
    """A dimension grows in all inputs that have it, or in none."""
    grow = {_name(spec, place): name for name, spec in specs.items() for place in _free(spec)}
    for spec in signature.inputs:
        for place in _free(spec):
            dimension = _name(spec, place)
            if spec.name not in axes and dimension is not None and dimension in grow:
                raise ValueError(
                    f"batching.padding names the input {grow[dimension]!r}, but {spec.name!r} has "
                    f"the same dimension {dimension!r}: name it too"
                )


def _follows(
    output: TensorSpec,
    axes: Mapping[str, Axes],
    axis_of: Mapping[str | None, Axis],
    signature: Signature,
) -> Axes:
    """Which dimensions of an output grow with the inputs: those that have an axis' name, and those
    in the place of one, unless they are named after something else."""
    at_place = dict(pair for of_input in axes.values() for pair in of_input)
    others = {
        _name(spec, place)
        for spec in signature.inputs
        for place in (0, *_free(spec))
        if not place or spec.name not in axes
    }
    found: list[tuple[int, Axis]] = []
    for place in _free(output):
        name = _name(output, place)
        if name in axis_of:
            found.append((place, axis_of[name]))
        elif place in at_place and (name is None or name not in others):
            found.append((place, at_place[place]))
    return tuple(found)
