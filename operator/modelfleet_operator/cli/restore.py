"""What an undo writes: the spec's parts from which an earlier revision was made.

A ControllerRevision holds them beside the pod template. Put back, they describe the very revision
again (its name is a hash of them), so it starts from the template that was frozen then. One that
does not hold them gives back its model alone.
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Final

from modelfleet_operator.api import labels
from modelfleet_operator.api.spec import Spec
from modelfleet_operator.cli.exits import Missing, Refusal
from modelfleet_operator.cli.picture import is_stale, variant
from modelfleet_operator.kinds import Json
from modelfleet_operator.plan.revisions import hashed
from modelfleet_operator.seen import Resource

PARTS: Final = ("model", "runtime", "resources", "accelerator", "podTemplate")
"""What pods are made from. The rest of the spec (replicas, rollout, routing) is not undone."""


@dataclass(frozen=True, slots=True)
class Restoration:
    number: int
    version: str | None
    fields: Json
    """To be merged into the resource; empty where it asks for that revision already."""
    changed: tuple[str, ...]
    """Which parts of the spec are another's afterwards."""
    unknown: tuple[str, ...]
    """Which parts the revision does not tell: they stay as they are."""


def target(resource: Resource, revisions: Iterable[Json], number: int | None) -> Json:
    """The ControllerRevision to go back to: that of the number, or without one the one before.

    Raises `Missing` and `Refusal`.
    """
    by_number = {each["revision"]: each for each in revisions}
    name, told = resource.name, variant(resource)
    there = ", ".join(map(str, sorted(by_number))) or "none"
    if number is not None:
        if number not in by_number:
            raise Missing(
                f"there is no revision {number} of {name}; there are {there} "
                f"(`modelfleet history {name}`)"
            )
        return by_number[number]
    if is_stale(resource):
        raise Refusal(
            f"the operator has not seen the spec of {name} as it stands, so which revision comes "
            "before it cannot be told: name one with --to, or say it again in a moment"
        )
    wanted = None if told is None else told.candidate or told.stable
    if told is not None and told.candidate is not None and told.stable is not None:
        before = [n for n, each in by_number.items() if each["metadata"]["name"] == told.stable]
    else:
        now = [n for n, each in by_number.items() if each["metadata"]["name"] == wanted]
        before = [n for n in by_number if now and n < now[0]]
    if not before:
        raise Refusal(
            f"no revision of {name} is kept from before the one it asks for: name one with --to "
            f"(there are {there}; rollout.historyLimit says how many are kept)"
        )
    return by_number[max(before)]


def restore(resource: Resource, raw: Json, revision: Json) -> Restoration:
    """`raw` is the resource as it was read; `revision` the ControllerRevision to go back to."""
    data = revision.get("data") or {}
    known = bool(data.get("spec"))
    wanted: Json = data["spec"] if known else {"model": data["model"]}
    has, now = raw.get("spec") or {}, _now(resource, raw)
    parts = PARTS if known else ("model",)
    spec = {
        part: _merge(has.get(part), wanted.get(part))
        for part in parts
        if wanted.get(part) != now.get(part)
    }
    fields: Json = {"spec": spec} if spec else {}
    restart = data.get("restart")
    if known and restart != resource.annotations.get(labels.RESTART):
        fields["metadata"] = {"annotations": {labels.RESTART: restart}}
    return Restoration(
        number=revision["revision"],
        version=(data.get("model") or {}).get("version"),
        fields=fields,
        changed=tuple(f"spec.{part}" for part in spec),
        unknown=() if known else tuple(f"spec.{part}" for part in PARTS if part != "model"),
    )


def _now(resource: Resource, raw: Json) -> Mapping[str, object]:
    """Without what is only a default, as a revision holds it."""
    return hashed(resource.spec) if isinstance(resource.spec, Spec) else raw.get("spec") or {}


def _merge(has: object, wanted: object) -> object:
    """A merge patch that makes the one out of the other."""
    if not isinstance(has, dict) or not isinstance(wanted, dict):
        return wanted
    gone = {key: None for key in has if key not in wanted}
    return gone | {
        key: _merge(has.get(key), value) for key, value in wanted.items() if has.get(key) != value
    }


def applied_by(raw: Json) -> str | None:
    """What will put its own spec back sooner or later, as far as it leaves traces."""
    metadata = raw["metadata"]
    marks = {**(metadata.get("labels") or {}), **(metadata.get("annotations") or {})}
    if any(key.startswith("argocd.argoproj.io/") for key in marks):
        return "Argo CD"
    if any("toolkit.fluxcd.io/" in key for key in marks):
        return "Flux"
    if marks.get("app.kubernetes.io/managed-by") == "Helm":
        return "Helm"
    if "kubectl.kubernetes.io/last-applied-configuration" in marks:
        return "kubectl apply"
    return None


def warning(raw: Json) -> str:
    """Who else has to be told."""
    name, by = raw["metadata"]["name"], applied_by(raw)
    if by in ("Argo CD", "Flux"):
        return (
            f"warning: {by} applies {name} from a repository, and will undo this undo: make the "
            "same change there"
        )
    if by is not None:
        return (
            f"warning: {name} was applied by {by}: make the same change in its file, or the next "
            "one brings the newer revision back"
        )
    return f"note: only the cluster was changed; where a file describes {name}, change that too"
