"""The CustomResourceDefinition, made from `Spec` and `Status`.

python -m modelfleet_operator.api.crd           write it and the pages made from it
python -m modelfleet_operator.api.crd --check   say which file differs, and exit 1
"""

import sys
from pathlib import Path
from typing import Any, Final

import yaml

from modelfleet_operator.api import labels
from modelfleet_operator.api.pages import reasons_page, resource_page
from modelfleet_operator.api.rules import Schema, rule, rules
from modelfleet_operator.api.spec import Spec
from modelfleet_operator.api.status import Status
from modelfleet_operator.api.structural import structural

NAME: Final = f"{labels.PLURAL}.{labels.GROUP}"
FILE: Final = f"{labels.GROUP}_{labels.PLURAL}.yaml"
COMMAND: Final = "python -m modelfleet_operator.api.crd"
_HEAD: Final = f"# Made by `{COMMAND}` from modelfleet_operator.api. Change it there.\n"

# Ready and desired are two columns because a column is one path: it cannot join two fields, and a
# text such as "2/3" in the status would be a third place for the same two numbers.
_COLUMNS: Final = (
    ("Version", "string", ".status.version", "The version of the model that serves.", 0),
    ("Ready", "integer", ".status.readyReplicas", "Pods that serve.", 0),
    ("Desired", "integer", ".status.desiredReplicas", "Pods that should serve.", 0),
    ("Phase", "string", ".status.phase", "One word on how it is.", 0),
    ("URL", "string", ".status.url", "The address inside the cluster.", 1),
    ("Age", "date", ".metadata.creationTimestamp", "", 0),
)

# The stable Service bears the name, and a Service's begins with a letter.
_NAME_RULES: Final = rules(
    rule(
        f"self.metadata.name.size() <= {labels.LONGEST_NAME}",
        f"write a metadata.name of at most {labels.LONGEST_NAME} characters: "
        "the revisions' names are made from it and must fit a Service.",
    ),
    rule(
        "self.metadata.name.matches(r'^[a-z]([-a-z0-9]*[a-z0-9])?$')",
        "write a metadata.name of lower-case letters, digits and -, beginning with a letter and "
        "without dots: the Service that serves the model bears it.",
    ),
    rule(
        "!['-router', '-preview', '-feedback'].exists(end, self.metadata.name.endsWith(end)) && "
        "self.metadata.name != 'modelfleet'",
        "write another metadata.name: objects of others are called modelfleet-router, NAME-router, "
        "NAME-preview and NAME-feedback.",
    ),
)


def crd() -> dict[str, Any]:
    """The whole definition."""
    return {
        "apiVersion": "apiextensions.k8s.io/v1",
        "kind": "CustomResourceDefinition",
        "metadata": {"name": NAME},
        "spec": {
            "group": labels.GROUP,
            "scope": "Namespaced",
            "names": {
                "kind": labels.KIND,
                "listKind": f"{labels.KIND}List",
                "plural": labels.PLURAL,
                "singular": labels.SINGULAR,
                "shortNames": [labels.SHORT_NAME],
                # Its Deployments and Services are in `all`, and without their owner beside them
                # `kubectl delete all --all` would remove what is made again at once.
                "categories": ["all"],
            },
            "versions": [
                {
                    "name": labels.VERSION,
                    "served": True,
                    "storage": True,
                    "subresources": {
                        "status": {},
                        "scale": {
                            "specReplicasPath": ".spec.replicas",
                            "statusReplicasPath": ".status.replicas",
                            "labelSelectorPath": ".status.selector",
                        },
                    },
                    "additionalPrinterColumns": [_column(*one) for one in _COLUMNS],
                    "schema": {"openAPIV3Schema": resource_schema()},
                }
            ],
        },
    }


def resource_schema() -> Schema:
    """The schema of one ModelDeployment."""
    return {
        "type": "object",
        "description": "A model, served. The operator runs it, gives it a stable address inside "
        "the cluster, scales it, and replaces one version by the next.",
        "required": ["spec"],
        "properties": {
            "apiVersion": {"type": "string"},
            "kind": {"type": "string"},
            "metadata": {"type": "object"},
            "spec": structural(Spec),
            # What the operator has not said, the API server should not say for it.
            "status": structural(Status, defaults=False),
        },
        **_NAME_RULES,
    }


def _column(name: str, kind: str, path: str, about: str, priority: int) -> dict[str, Any]:
    # What the API server would leave out again is left out, or GitOps tools see a difference.
    made: dict[str, Any] = {"name": name, "type": kind, "jsonPath": path}
    if about:
        made["description"] = about
    if priority:
        made["priority"] = priority
    return made


class _Plain(yaml.SafeDumper):
    """Without anchors: what two fields share is written out twice, as people read it."""

    def ignore_aliases(self, data: Any) -> bool:
        return True


def as_yaml(document: dict[str, Any]) -> str:
    """Always the same text for the same document."""
    return _HEAD + yaml.dump(document, Dumper=_Plain, sort_keys=False, width=100)


def generated(root: Path) -> dict[Path, str]:
    """Every file that is made from the types, and what should be in it."""
    definition = as_yaml(crd())
    return {
        root / "crds" / FILE: definition,
        # Helm reads no file outside its chart.
        root / "helm/modelfleet/files" / FILE: definition,
        root / "docs/resource.md": resource_page(resource_schema()),
        root / "docs/reasons.md": reasons_page(),
    }


def main(arguments: list[str]) -> int:
    if arguments not in ([], ["--check"]):
        print(f"usage: {COMMAND} [--check]", file=sys.stderr)
        return 2
    root = Path(__file__).resolve().parents[3]
    if not (root / "pyproject.toml").is_file():
        print(f"{root} is no checkout of modelfleet: run this from its source", file=sys.stderr)
        return 2
    status = 0
    for path, text in generated(root).items():
        if path.is_file() and path.read_text() == text:
            continue
        if arguments:
            print(f"{path.relative_to(root)} differs: run `{COMMAND}`", file=sys.stderr)
            status = 1
        else:
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(text)
            print(f"wrote {path.relative_to(root)}")
    return status


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
