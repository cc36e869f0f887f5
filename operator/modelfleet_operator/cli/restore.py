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
from modelfleet_operator.cli.picture import is_stale
from modelfleet_operator.cli.place import Place
from modelfleet_operator.cli.variants import command, listed, missing, variant_of, who
from modelfleet_operator.kinds import Json
from modelfleet_operator.plan.revisions import hashed
from modelfleet_operator.plan.variants import asked
from modelfleet_operator.seen import Resource

PARTS: Final = ("model", "runtime", "resources", "accelerator", "podTemplate")
"""What pods are made from. The rest of the spec (replicas, rollout, routing, how the traffic is
shared) is not undone."""


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
    restarted: bool = False
    """It was made by another restart than the present one, which stays, for it is of every
    variant: so this is a new revision of the same content."""


def undone(resource: Resource, only: str | None) -> str:
    """The variant whose revisions are meant. Raises `Refusal` and `Missing`.

    One that leaves is in the spec no more, so there is nothing that could be put back.
    """
    name, spec = resource.name, resource.spec
    there = [each.name for each in resource.status.variants]
    if isinstance(spec, Spec):
        there = [each.name for each in asked(spec)]
    if only is None and len(there) > 1:
        ways = " or ".join(f"`modelfleet undo {name} --variant {each}`" for each in there)
        raise Refusal(
            f"{name} has variants {listed(there)}, each with revisions of its own, so say which "
            f"to undo: {ways}"
        )
    if only is not None and only not in there:
        raise Missing(missing(name, only, there))
    return only or (there[0] if there else labels.DEFAULT_VARIANT)


def target(
    resource: Resource,
    revisions: Iterable[Json],
    number: int | None,
    of: str = labels.DEFAULT_VARIANT,
) -> Json:
    """The ControllerRevision of variant `of` to go back to: that of the number, or without one the
    one before.

    Raises `Missing` and `Refusal`.
    """
    by_number = {each["revision"]: each for each in revisions if variant_of(each) == of}
    told = next((each for each in resource.status.variants if each.name == of), None)
    it, there = who(resource, told), ", ".join(map(str, sorted(by_number))) or "none"
    if number is not None:
        if number not in by_number:
            raise Missing(
                f"there is no revision {number} of {it}; there are {there} "
                f"({command('history', resource, told)})"
            )
        return by_number[number]
    if is_stale(resource):
        raise Refusal(
            f"the operator has not seen the spec of {resource.name} as it stands, so which "
            "revision comes before it cannot be told: name one with --to, or say it again in a "
            "moment"
        )
    wanted = None if told is None else told.candidate or told.stable
    if told is not None and told.candidate is not None and told.stable is not None:
        before = [n for n, each in by_number.items() if each["metadata"]["name"] == told.stable]
    else:
        now = [n for n, each in by_number.items() if each["metadata"]["name"] == wanted]
        before = [n for n in by_number if now and n < now[0]]
    if not before:
        raise Refusal(
            f"no revision of {it} is kept from before the one it asks for: name one with --to "
            f"(there are {there}; rollout.historyLimit says how many are kept)"
        )
    return by_number[max(before)]


def restore(resource: Resource, raw: Json, revision: Json) -> Restoration:
    """`raw` is the resource as it was read; `revision` the ControllerRevision to go back to.

    No other variant is changed. Raises `Refusal` where that cannot be.
    """
    data, of = revision.get("data") or {}, variant_of(revision)
    known = bool(data.get("spec"))
    wanted: Json = data["spec"] if known else {"model": data["model"]}
    place, now = Place.of(resource, raw, of), _now(resource, raw, of)
    differ = [
        part for part in (PARTS if known else ("model",)) if wanted.get(part) != now.get(part)
    ]
    spec, changed = place.with_parts({part: wanted.get(part) for part in differ})
    fields: Json = {"spec": spec} if spec else {}
    restart = data.get("restart")
    restarted = known and restart != resource.annotations.get(labels.RESTART)
    if restarted and not place.others:
        fields["metadata"] = {"annotations": {labels.RESTART: restart}}
    elif restarted and not differ:
        raise Refusal(
            f"revision {revision['revision']} of variant {of} has the content that it asks for "
            "now, and another restart: a restart is of every variant, so it is not taken back for "
            "one; name another revision with --to, or say `modelfleet abort` while the restart is "
            "on its way"
        )
    return Restoration(
        number=revision["revision"],
        version=(data.get("model") or {}).get("version"),
        fields=fields,
        changed=changed,
        unknown=() if known else tuple(f"spec.{part}" for part in PARTS if part != "model"),
        restarted=restarted and bool(place.others),
    )


def _now(resource: Resource, raw: Json, variant: str) -> Mapping[str, object]:
    """What the variant asks for, without what is only a default, as a revision holds it."""
    if not isinstance(resource.spec, Spec):
        place = Place.of(resource, raw, variant)
        return place.above | place.entry
    return next(hashed(each.spec) for each in asked(resource.spec) if each.name == variant)


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
