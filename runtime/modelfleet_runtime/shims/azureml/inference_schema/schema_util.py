"""What a function was decorated with."""

from typing import Any

MARK = "__inference_schema__"
ALL_VERSIONS = ("2.0", "3.0", "3.1")


def is_schema_decorated(func: Any) -> bool:
    return hasattr(func, MARK)


def get_input_schema(func: Any) -> dict[str, Any]:
    return _part(func, "input")


def get_output_schema(func: Any) -> dict[str, Any]:
    return _part(func, "output")


def get_supported_versions(func: Any) -> list[str]:
    """Those that all of its decorators allow; all for a function without any."""
    marks = getattr(func, MARK, {})
    versions = set(ALL_VERSIONS)
    for allowed in marks.get("versions", {}).values():
        versions &= set(allowed)
    return sorted(versions)


def _part(func: Any, name: str) -> dict[str, Any]:
    part: dict[str, Any] = getattr(func, MARK, {}).get(name) or {"type": "object"}
    return part
