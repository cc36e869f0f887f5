"""Moments as the API writes them: RFC 3339, to the second, in UTC."""

from datetime import datetime


def written_time(moment: datetime) -> str:
    return moment.strftime("%Y-%m-%dT%H:%M:%SZ")


def read_time(moment: str | None) -> datetime | None:
    """None for what is no moment: anybody may have written into the status."""
    if moment is None:
        return None
    try:
        read = datetime.fromisoformat(moment)
    except ValueError:
        return None
    return read if read.tzinfo else None
