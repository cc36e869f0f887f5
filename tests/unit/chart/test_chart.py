"""Do the chart's values, their schema and its copy of the definition say the same?

What Helm makes of them is in tests/e2e/test_chart.py.
"""

import json
import re
from collections.abc import Iterator
from dataclasses import fields
from pathlib import Path
from typing import Any

import yaml

from modelfleet_operator.settings import Settings

ROOT = Path(__file__).parents[3]
CHART = ROOT / "helm" / "modelfleet"
VALUES: dict[str, Any] = yaml.safe_load((CHART / "values.yaml").read_text())
SCHEMA: dict[str, Any] = json.loads((CHART / "values.schema.json").read_text())

# What is handed on to Kubernetes as it is: any key may be right there.
HANDED_ON = {
    "global",
    "affinity.nodeAffinity",
    "affinity.podAffinity",
    "affinity.podAntiAffinity",
}


def resolved(schema: dict[str, Any]) -> dict[str, Any]:
    if "$ref" in schema:
        name = schema["$ref"].removeprefix("#/definitions/")
        found: dict[str, Any] = SCHEMA["definitions"][name]
        return found
    return schema


def objects(schema: dict[str, Any], path: str = "") -> Iterator[tuple[str, dict[str, Any]]]:
    schema = resolved(schema)
    if schema.get("type") == "object":
        yield path, schema
    for name, value in schema.get("properties", {}).items():
        yield from objects(value, f"{path}.{name}".lstrip("."))
    if "items" in schema:
        yield from objects(schema["items"], f"{path}[]")


def test_no_object_takes_a_key_that_it_does_not_know() -> None:
    for path, schema in objects(SCHEMA):
        if path in HANDED_ON:
            continue
        other = schema.get("additionalProperties", True)
        assert other is False or isinstance(other, dict), path


def test_the_schema_knows_the_values_and_no_others() -> None:
    def same(schema: dict[str, Any], values: dict[str, Any], path: str) -> None:
        known = resolved(schema).get("properties", {})
        if not known or not values:
            return
        assert set(known) - {"global"} == set(values), path
        for name, value in values.items():
            if isinstance(value, dict):
                same(known[name], value, f"{path}.{name}")

    same(SCHEMA, VALUES, "values")


def test_every_value_is_used_by_a_template() -> None:
    templates = "".join(path.read_text() for path in (CHART / "templates").iterdir())
    for name, value in VALUES.items():
        if name == "image":
            continue
        inner = [f"{name}.{key}" for key in value] if name in ("crds", "podMonitor") else [name]
        for path in inner:
            assert f".Values.{path}" in templates, path


def test_every_value_is_explained() -> None:
    """A comment stands above each, or above the group that it stands in."""
    lines = (CHART / "values.yaml").read_text().splitlines()
    for group in re.split(r"\n\n", "\n".join(lines)):
        assert group.lstrip().startswith("#") or "\n  #" in group, group


def test_the_deployment_sets_every_setting() -> None:
    text = (CHART / "templates" / "deployment.yaml").read_text()
    for setting in fields(Settings):
        assert f"name: MODELFLEET_{setting.name.upper()}\n" in text, setting.name


def test_the_charts_copy_of_the_definition_is_the_committed_one() -> None:
    name = "modelfleet.dev_modeldeployments.yaml"
    assert (CHART / "files" / name).read_bytes() == (ROOT / "crds" / name).read_bytes()


def test_the_charts_version_is_the_projects() -> None:
    chart = yaml.safe_load((CHART / "Chart.yaml").read_text())
    project = (ROOT / "pyproject.toml").read_text()
    assert f'version = "{chart["appVersion"]}"' in project
