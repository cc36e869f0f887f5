"""A site as text, and back; and how the variants split their shares of it."""

from collections.abc import Mapping

from pydantic import TypeAdapter, ValidationError

from modelfleet_operator.router.site import Intervals, Site

SITE_KEY = "site.json"
"""Where it stands in a ConfigMap."""
SHARES_KEY = "shares.json"
"""Where it stands how each variant splits its share."""
HOME_KEY = "home.json"
"""Where it stands how the line is when no share is lent."""
_SITE = TypeAdapter(Site)
_LINE = TypeAdapter(Intervals)
_SHARES = TypeAdapter(Mapping[str, Mapping[str, int]])


def write(site: Site) -> str:
    """The same site always gives the same text."""
    return _SITE.dump_json(site).decode()


def read(text: str) -> Site | None:
    """None where it cannot be read: an operator of another version has written it."""
    try:
        return _SITE.validate_json(text)
    except ValidationError:
        return None


def write_shares(shares: Mapping[str, Mapping[str, int]]) -> str:
    return _SHARES.dump_json(shares).decode()


def read_shares(text: str) -> Mapping[str, Mapping[str, int]]:
    """Nothing where it cannot be read."""
    try:
        return _SHARES.validate_json(text)
    except ValidationError:
        return {}


def write_line(line: Intervals) -> str:
    return _LINE.dump_json(line).decode()


def read_line(text: str) -> Intervals | None:
    """None where it cannot be read."""
    try:
        return _LINE.validate_json(text)
    except ValidationError:
        return None
