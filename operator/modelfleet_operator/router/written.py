"""A site as text, and back."""

from pydantic import TypeAdapter, ValidationError

from modelfleet_operator.router.site import Site

SITE_KEY = "site.json"
"""Where it stands in a ConfigMap."""
_SITE = TypeAdapter(Site)


def write(site: Site) -> str:
    """The same site always gives the same text."""
    return _SITE.dump_json(site).decode()


def read(text: str) -> Site | None:
    """None where it cannot be read: an operator of another version has written it."""
    try:
        return _SITE.validate_json(text)
    except ValidationError:
        return None
