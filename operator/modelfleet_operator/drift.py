"""Does an object of the cluster already read as it should?

Only the fields that we say count: what others added (defaults, an autoscaler's number, another
tool's annotations) is theirs. The API server writes some values in another way than it was given
them (a quantity of 1000m reads 1), and leaves out what is empty.
"""

from decimal import Decimal
from typing import Any, Final

_UNITS: Final = {
    "n": Decimal("1e-9"),
    "u": Decimal("1e-6"),
    "m": Decimal("1e-3"),
    "": Decimal(1),
    **{u: Decimal(1000) ** i for i, u in enumerate("kMGTPE", start=1)},
    **{f"{u}i": Decimal(1024) ** i for i, u in enumerate("KMGTPE", start=1)},
}


def reads_as(wanted: Any, found: Any) -> bool:
    """Whether `found` has all that `wanted` says."""
    match wanted:
        case dict():
            if not isinstance(found, dict):
                return not wanted and found is None
            if wanted == found:  # mostly, and this is much the faster way to see it
                return True
            return all(reads_as(value, found.get(key)) for key, value in wanted.items())
        case list() | tuple():
            if not isinstance(found, list):
                return not wanted and found is None
            return len(wanted) == len(found) and all(map(reads_as, wanted, found))
        case None:
            return found is None
        case bool():
            return wanted is found or (not wanted and found is None)
        case "":
            return found in ("", None)
        case _:
            return bool(wanted == found) or _same_amount(wanted, found)


def _same_amount(wanted: Any, found: Any) -> bool:
    left, right = _amount(wanted), _amount(found)
    return left is not None and left == right


def _amount(value: Any) -> Decimal | None:
    if not isinstance(value, str | int) or isinstance(value, bool):
        return None
    text = str(value)
    number = text.rstrip("numkKMGTPEi")
    unit = text[len(number) :]
    if unit not in _UNITS or not number.replace(".", "", 1).isdecimal():
        return None
    return Decimal(number) * _UNITS[unit]
