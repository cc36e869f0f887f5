"""Which modelfleet this is."""

from importlib.metadata import PackageNotFoundError, version


def own_version() -> str:
    """0 where it runs from a folder that was not installed."""
    try:
        return version("modelfleet")
    except PackageNotFoundError:
        return "0"
