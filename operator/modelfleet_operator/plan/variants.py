"""Which arms does this ModelDeployment have, and what does each of them see?

Each variant is looked at as if it were alone: with a spec of its own, its own revisions and their
pods, and its share of the traffic as the whole. What all of them get together is in `shares.py`.
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace

from modelfleet_operator.api import labels
from modelfleet_operator.api.spec import Spec, Variant
from modelfleet_operator.router.routes import weights
from modelfleet_operator.router.site import WHOLE, Site
from modelfleet_operator.seen import Observed

REPLACED = ("model", "resources", "accelerator")
"""What a variant may have of its own, of what pods are made from."""


@dataclass(frozen=True, slots=True)
class Standing:
    """One variant that is asked for, or that still has revisions."""

    name: str
    asked: int
    """Its share of all traffic, in parts of 10000."""
    spec: Spec
    """As it is to be run; of one that leaves, what everybody has in common."""
    leaving: bool = False
    """The spec has it no more."""


def standing(seen: Observed, spec: Spec) -> tuple[Standing, ...]:
    """Those of the spec in its order, then those that leave."""
    wanted = asked(spec)
    there = {revision.variant for revision in seen.revisions} - {each.name for each in wanted}
    # How many pods one that leaves needs is what it has: nobody's autoscaler is meant for it.
    last = spec.model_copy(update={"replicas": None, "autoscaling": None, "variants": ()})
    return wanted + tuple(Standing(name, 0, last, leaving=True) for name in sorted(there))


def asked(spec: Spec) -> tuple[Standing, ...]:
    """Those of the spec, in its order."""
    if not spec.variants:
        return (Standing(labels.DEFAULT_VARIANT, WHOLE, spec),)
    return tuple(Standing(v.name, v.weight * WHOLE // 100, spec_of(spec, v)) for v in spec.variants)


def spec_of(spec: Spec, variant: Variant) -> Spec:
    """What the variant gives replaces the spec's own as a whole; the rest it inherits."""
    changes: dict[str, object] = {
        field: getattr(variant, field) for field in REPLACED if getattr(variant, field) is not None
    }
    if variant.replicas is not None or variant.autoscaling is not None:
        changes |= {"replicas": variant.replicas, "autoscaling": variant.autoscaling}
    return spec.model_copy(update={**changes, "variants": ()})


def view(seen: Observed, variant: str) -> Observed:
    """The picture of one variant: only its own revisions, and what belongs to them.

    Children and status stay whole: nothing is decided on the former, and in the latter each finds
    its own.
    """
    revisions = tuple(r for r in seen.revisions if r.variant == variant)
    if len(revisions) == len(seen.revisions):
        return seen
    names = {r.name for r in revisions}
    return replace(
        seen,
        revisions=revisions,
        workloads={name: one for name, one in seen.workloads.items() if name in names},
        pods=tuple(pod for pod in seen.pods if pod.revision in names),
    )


def parts_of(site: Site | None, names: Iterable[str]) -> int:
    """What a variant's revisions have together, in parts of 10000 of all traffic."""
    return sum(_written(site, names).values())


def within(seen: Observed, variant: str, names: Iterable[str]) -> Mapping[str, int]:
    """How the variant splits its share, in parts of 10000 of that, as it was written last.

    It is written beside the routes, because shares of shares do not divide evenly. Where it is not
    there (an earlier operator wrote them), there is one variant, and its share is the whole.
    """
    written, mine = seen.routing.shares.get(variant), set(names)
    found = _written(seen.routing.site, mine) if written is None else {
        name: parts for name, parts in written.items() if name in mine
    }  # fmt: skip
    return found if sum(found.values()) == WHOLE else {}


def _written(site: Site | None, names: Iterable[str]) -> dict[str, int]:
    """Parts of 10000 of all traffic, of those revisions that have any."""
    mine = set(names)
    split = {} if site is None else weights(site.intervals)
    return {name: parts for name, parts in split.items() if name in mine and parts}
