"""Is the definition what Kubernetes takes, and what people can read?"""

import json
import re
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml

from modelfleet_operator.api import crd, labels
from modelfleet_operator.api.rules import (
    FREE_FORM,
    INT_OR_STRING,
    LIST_KEYS,
    LIST_TYPE,
    RULES,
    Schema,
)

ROOT = Path(__file__).parents[4]
SPEC: Schema = crd.resource_schema()["properties"]["spec"]
STATUS: Schema = crd.resource_schema()["properties"]["status"]

# The words of Kubernetes' structural schemas that we use; a reference or a union is not among them.
WORDS = {
    "additionalProperties", "default", "description", "enum", "format", "items", "maxItems",
    "maxLength", "maxProperties", "maximum", "minItems", "minLength", "minimum", "properties",
    "required", "type", FREE_FORM, INT_OR_STRING, LIST_KEYS, LIST_TYPE, "x-kubernetes-map-type",
    RULES,
}  # fmt: skip


def schemas(schema: Schema, path: str) -> Iterator[tuple[str, Schema]]:
    """`schema` and all below it, each with its path."""
    yield path, schema
    for name, value in schema.get("properties", {}).items():
        yield from schemas(value, f"{path}.{name}")
    for key, mark in (("items", "[]"), ("additionalProperties", "{}")):
        if key in schema:
            yield from schemas(schema[key], path + mark)


EVERY = [*schemas(SPEC, "spec"), *schemas(STATUS, "status")]
OF_SPEC = [*schemas(SPEC, "spec")]


def test_what_is_committed_is_what_is_generated() -> None:
    for path, text in crd.generated(ROOT).items():
        assert path.read_text() == text, f"{path} differs: run `{crd.COMMAND}`"


def test_generating_twice_gives_the_same() -> None:
    assert crd.generated(ROOT) == crd.generated(ROOT)


def test_check_names_the_file_and_the_command(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    source = tmp_path / "operator" / "modelfleet_operator" / "api" / "crd.py"
    monkeypatch.setattr(crd, "__file__", str(source))
    (tmp_path / "pyproject.toml").touch()

    assert crd.main(["--check"]) == 1
    said = capsys.readouterr().err
    assert f"crds/{crd.FILE} differs: run `{crd.COMMAND}`" in said
    assert "docs/reasons.md" in said

    assert crd.main([]) == 0
    assert crd.main(["--check"]) == 0
    assert crd.main(["--chekc"]) == 2


def test_the_module_runs_as_a_program() -> None:
    done = subprocess.run(
        [sys.executable, "-m", "modelfleet_operator.api.crd", "--check"],
        capture_output=True,
        text=True,
        check=False,
    )
    assert (done.returncode, done.stderr) == (0, "")


def test_kubectl_apply_can_hold_it_in_an_annotation() -> None:
    """Applying on the client's side keeps the whole document, as JSON, in one, and the limit is 256
    KiB for all of them; a third of that also keeps the object quick to read."""
    assert len(json.dumps(crd.crd(), separators=(",", ":"))) < 80 * 1024


def test_it_reads_back_as_it_was_written() -> None:
    assert yaml.safe_load(crd.as_yaml(crd.crd())) == crd.crd()


def test_only_words_that_kubernetes_knows() -> None:
    for path, schema in EVERY:
        assert schema.keys() <= WORDS, path
        assert ("type" in schema) != (INT_OR_STRING in schema), path


def test_no_default_is_null_or_empty() -> None:
    """Kubernetes refuses the one; the other would be noise in everyone's objects."""
    for path, schema in EVERY:
        assert schema.get("default", 1) not in (None, [], {}), path


def test_the_status_is_what_the_operator_says_and_no_more() -> None:
    for path, schema in schemas(STATUS, "status"):
        assert "default" not in schema, path
        assert RULES not in schema, path


def test_every_list_says_how_it_is_merged() -> None:
    for path, schema in EVERY:
        if schema.get("type") != "array":
            continue
        assert schema.get(LIST_TYPE) in ("map", "set", "atomic"), path
        for key in schema.get(LIST_KEYS, []):
            filled = "default" in schema["items"]["properties"][key]
            there = filled or key in schema["items"]["required"]
            assert there, f"{path}: {key} must always be there"


def test_everything_in_the_spec_has_a_bound() -> None:
    """The API server estimates what a rule costs from the longest input, and refuses the
    definition when that is too much."""
    for path, schema in OF_SPEC:
        if schema.get("type") == "string":
            assert "maxLength" in schema or "enum" in schema, path
        if INT_OR_STRING in schema:
            assert "maxLength" in schema, path
        if schema.get("type") == "array":
            assert "maxItems" in schema, path
        if "additionalProperties" in schema:
            assert "maxProperties" in schema, path


def test_free_form_is_only_what_kubernetes_checks_itself() -> None:
    """Below the top nothing is dropped unseen: a misspelt field is refused when it is applied."""
    free = {path for path, schema in OF_SPEC if FREE_FORM in schema}
    assert {re.sub(r"\.[^.]+$", "", path) for path in free} == {
        "spec.podTemplate.affinity",
        "spec.podTemplate.volumes[]",
    }


def test_every_rule_ends_in_a_sentence() -> None:
    everywhere = [*EVERY, ("", crd.resource_schema())]
    said = [(path, one) for path, schema in everywhere for one in schema.get(RULES, [])]
    assert len(said) > 30
    for path, one in said:
        assert one.keys() <= {"rule", "message", "fieldPath"}, path
        assert re.fullmatch(r"\S.{10,}[^.]\.", one["message"]), f"{path}: {one['message']!r}"
        assert "\n" not in one["message"], path
        assert one.get("fieldPath", ".x").startswith("."), path


def test_every_field_is_explained() -> None:
    """`kubectl explain` is the first place to look. What is as in a pod is explained there."""
    for path, schema in OF_SPEC:
        if re.match(r"spec\.variants\[\]\.\w+[.\[]", path):
            continue  # as in the spec itself, where it is explained
        if "podTemplate." in path or "valueFrom." in path or path.endswith(("{}", "[]")):
            continue
        assert schema.get("description"), path


def test_the_names_are_those_of_the_labels_module() -> None:
    names: dict[str, Any] = crd.crd()["spec"]["names"]
    assert crd.crd()["metadata"]["name"] == f"{labels.PLURAL}.{labels.GROUP}"
    assert (names["kind"], names["shortNames"]) == (labels.KIND, [labels.SHORT_NAME])
    assert crd.FILE in str(next(iter(crd.generated(ROOT))))


def test_every_column_and_scale_path_is_a_field() -> None:
    version: dict[str, Any] = crd.crd()["spec"]["versions"][0]
    scale = version["subresources"]["scale"]
    paths = [column["jsonPath"] for column in version["additionalPrinterColumns"]]
    fields = {f".{path}" for path, _ in EVERY}
    for path in [*paths, *scale.values()]:
        assert path in fields | {".metadata.creationTimestamp"}
