"""On which nodes may a pod with accelerators run, and what does it take of them?"""

from collections.abc import Iterable, Mapping
from copy import deepcopy
from typing import Any

from modelfleet_operator.api.spec import Accelerator
from modelfleet_operator.seen import Json


def limits(accelerator: Accelerator | None, asked: Mapping[str, Any]) -> Json:
    """The container's limits with the accelerators. An extended resource is given as a limit; its
    request is the same by definition."""
    if accelerator is None:
        return dict(asked)
    return {**asked, accelerator.resource_name: str(accelerator.count)}


def tolerations(accelerator: Accelerator | None, asked: Iterable[Json]) -> list[Json]:
    """Nodes with accelerators are usually tainted with the resource's own name, so that nothing
    else runs there."""
    own: list[Json] = []
    if accelerator is not None:
        own.append({"key": accelerator.resource_name, "operator": "Exists", "effect": "NoSchedule"})
    return [*own, *asked]


def affinity(accelerator: Accelerator | None, asked: Json | None) -> Json | None:
    """What is asked for, with the products added to what it requires of nodes.

    Terms are alternatives and the expressions inside one are not, so the products go into each
    term; where there is none, they are the only one. What is no affinity at all is handed on as it
    is: the API server says what is wrong with it.
    """
    if accelerator is None or not accelerator.products or not _is_one(asked):
        return asked
    products = {
        "key": accelerator.product_label,
        "operator": "In",
        "values": sorted(accelerator.products),
    }
    merged = deepcopy(asked) if asked else {}
    required = merged.setdefault("nodeAffinity", {}).setdefault(
        "requiredDuringSchedulingIgnoredDuringExecution", {}
    )
    terms = required.get("nodeSelectorTerms") or [{}]
    required["nodeSelectorTerms"] = [
        {**term, "matchExpressions": [*term.get("matchExpressions", ()), products]}
        for term in terms
    ]
    return merged


def _is_one(asked: Json | None) -> bool:
    """Whether the products can be put into it: the resource's schema leaves the inside open."""
    nodes = (asked or {}).get("nodeAffinity", {})
    required = nodes.get("requiredDuringSchedulingIgnoredDuringExecution", {})
    terms = required.get("nodeSelectorTerms", []) if isinstance(required, dict) else None
    return isinstance(terms, list) and all(
        isinstance(term, dict) and isinstance(term.get("matchExpressions", []), list)
        for term in terms
    )
