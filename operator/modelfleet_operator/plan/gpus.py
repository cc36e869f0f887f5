"""How many more pods of a revision would find their accelerators, and how many in all, if those
that the variant has were gone?

A pod takes all of its accelerators from one node, so places are counted node by node, on those
where the scheduler may put it: by the node selector, the required node affinity (the products are
in it, `placement.py`) and the tolerations of its frozen template. What else a pod needs (memory, a
volume of some zone) is not looked at: where that is lacking, its pods stay without a place, and the
rollout gives way.
"""

from collections.abc import Iterable, Mapping

from modelfleet_operator.api.spec import Accelerator, Spec
from modelfleet_operator.plan.rollout.facts import Places
from modelfleet_operator.plan.types import Revisions
from modelfleet_operator.seen import GpuNode, Json, Observed


def places(seen: Observed, spec: Spec, parts: Revisions) -> Places | None:
    """None: they were not counted, or are not needed."""
    wants = spec.accelerator
    found = None if wants is None else seen.gpus.get(wants.resource_name)
    if wants is None or found is None:
        return None
    if found.unread:
        return Places(None, count=wants.count, says=found.unread)
    pod, mine = parts.wanted.template["spec"], {revision.name for revision in parts.kept}
    fits = total = free = elsewhere = 0
    open_ = [node for node in found.nodes if may_run(pod, node)]
    for node in found.nodes:
        held = [h for h in node.holders if h.namespace == seen.resource.namespace]
        own = [h for h in held if h.revision in mine]
        if node not in open_:
            elsewhere += len(own)
            continue
        left = max(0, node.gpus - sum(holder.gpus for holder in node.holders))
        free += left
        fits += left // wants.count
        total += (left + sum(holder.gpus for holder in own)) // wants.count
    there = sum(node.gpus for node in open_)
    return Places(fits, total, elsewhere, wants.count, _says(wants, there, free, fits))


def _says(wants: Accelerator, there: int, free: int, fits: int) -> str:
    name = " ".join([wants.resource_name, " or ".join(wants.products)]).strip()
    if not there:
        return f"no node that its pods may run on has {name}"
    says = f"{there - free} of {there} {name} in use, {free} free"
    if not fits and free >= wants.count:
        says += f" (no node has {wants.count} of them)"
    return says


# -- may the scheduler put it there?


def may_run(pod: Json, node: GpuNode) -> bool:
    """By what `pod`, the spec of one, says about nodes."""
    selector: Mapping[str, str] = pod.get("nodeSelector") or {}
    return (
        node.schedulable
        and selector.items() <= node.labels.items()
        and _is_liked(pod.get("affinity") or {}, node)
        and all(_is_tolerated(taint, pod.get("tolerations") or ()) for taint in node.taints)
    )


def _is_liked(affinity: Json, node: GpuNode) -> bool:
    wanted = affinity.get("nodeAffinity") or {}
    required = wanted.get("requiredDuringSchedulingIgnoredDuringExecution")
    if required is None:
        return True
    return any(_matches(term, node) for term in required.get("nodeSelectorTerms") or ())


def _matches(term: Json, node: GpuNode) -> bool:
    """Of several terms one will do, and in it every expression counts. An empty one matches none,
    as in the scheduler."""
    expressions, fields = term.get("matchExpressions") or (), term.get("matchFields") or ()
    own = {"metadata.name": node.name}
    return (
        bool(expressions or fields)
        and all(_holds(one, node.labels) for one in expressions)
        and all(_holds(one, own) for one in fields)
    )


def _holds(expression: Json, labels: Mapping[str, str]) -> bool:
    has, values = labels.get(expression["key"]), expression.get("values") or ()
    match expression["operator"]:
        case "In":
            return has is not None and has in values
        case "NotIn":
            return has is None or has not in values
        case "Exists":
            return has is not None
        case "DoesNotExist":
            return has is None
        case "Gt" | "Lt" as compared:
            return _compares(compared, has, values)
    return False


def _compares(operator: str, has: str | None, values: Iterable[str]) -> bool:
    try:
        left, right = int(has or ""), int(next(iter(values), ""))
    except ValueError:
        return False
    return left > right if operator == "Gt" else left < right


def _is_tolerated(taint: Json, tolerations: Iterable[Json]) -> bool:
    if taint.get("effect") == "PreferNoSchedule":
        return True
    return any(_tolerates(one, taint) for one in tolerations)


def _tolerates(toleration: Json, taint: Json) -> bool:
    effect, key = toleration.get("effect"), toleration.get("key")
    if effect and effect != taint.get("effect"):
        return False
    if not key:
        return bool(toleration.get("operator") == "Exists")
    if key != taint["key"]:
        return False
    exists = toleration.get("operator") == "Exists"
    return exists or toleration.get("value", "") == taint.get("value", "")
