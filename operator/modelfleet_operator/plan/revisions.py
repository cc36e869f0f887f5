"""Which revision is wanted, which serves, and which are kept?

A revision's name is a hash of what pods are made from, as far as a person asked for it: the model,
how it is run, its resources, its accelerators and the overlay on its pods. So a change of any of
them makes a new revision, taking it back finds the old one again, and an operator of another
version (whose defaults and pod template may differ) makes no new revision by itself.

Two laws:
- A field that is not set does not count. A later version of the API may add fields, and the
  API server may fill in their defaults, without one pod being restarted.
- The revision that the address selects is kept whatever else happens, and so is the one that
  answers while the address is lost.
"""

import hashlib
import json

from modelfleet_operator.api import labels
from modelfleet_operator.api.spec import Spec
from modelfleet_operator.plan.pod_template import pod_template
from modelfleet_operator.plan.types import Defaults, Revisions
from modelfleet_operator.router.site import Intervals
from modelfleet_operator.seen import Json, Observed, Revision

HASHED = frozenset({"model", "runtime", "resources", "accelerator", "pod_template"})
"""The parts of the spec that pods are made from."""

# No vowels, so that no word comes out; no 0, 1 and 3, which are read as letters.
_ALPHABET = "bcdfghjklmnpqrstvwxz2456789"
_LENGTH = 10


def decide(
    seen: Observed, spec: Spec, defaults: Defaults, variant: str = labels.DEFAULT_VARIANT
) -> Revisions:
    """The revisions of one variant, where only its own are in the picture."""
    restart = seen.resource.annotations.get(labels.RESTART, "")
    name = revision_name(seen.resource.name, variant, spec, restart)
    wanted = seen.revision(name)
    if wanted is None:
        number = max((r.number for r in seen.revisions), default=0) + 1
        made = pod_template(seen.resource, name, variant, spec, defaults)
        wanted = Revision(name, number, variant, spec.model, made, hashed(spec), restart)
    known = next((v for v in seen.resource.status.variants if v.name == variant), None)
    told = None if known is None else known.stable
    rolling = known is not None and known.rollout is not None
    serving = _serving(seen, told, rolling=rolling)
    proven = serving is not None and (told == serving.name or seen.ready_pods(serving.name) > 0)
    return Revisions(wanted, serving, proven, _kept(seen, spec, wanted, serving))


def leaving(seen: Observed, variant: str) -> Revisions | None:
    """Of a variant that is not asked for any more: what serves, and whatever else has pods or is
    known to the routers. None: nobody can be sent to any of it."""
    busy = tuple(r for r in seen.revisions if _busy(seen, r.name))
    if not busy:
        return None
    known = next((v for v in seen.resource.status.variants if v.name == variant), None)
    serving = _serving(seen, None if known is None else known.stable, rolling=False)
    last = serving if serving in busy else busy[-1]
    return Revisions(last, last, proven=True, kept=busy)


def _serving(seen: Observed, told: str | None, *, rolling: bool) -> Revision | None:
    """What the address selects, or during a rollout what it began with: it may have lent its share.
    Where it is lost (somebody deleted the Service, or gave it another selector), what still answers
    gets it back: not the wanted one, which may never be ready."""
    selected = seen.revision(seen.address.revision) if seen.address else None
    if selected is not None:
        return selected
    if seen.routing.site is not None and rolling and seen.revision(told) is not None:
        return seen.revision(told)
    if seen.routing.site is not None:
        return _with_traffic(seen, seen.routing.site.intervals, told)
    answering = [r for r in seen.revisions if seen.ready_pods(r.name) > 0]
    if any(r.name == told for r in answering):
        return seen.revision(told)
    if answering:
        return max(answering, key=lambda r: (seen.ready_pods(r.name), r.number))
    return seen.revision(told)


def _with_traffic(seen: Observed, line: Intervals, told: str | None) -> Revision | None:
    """Of those among which routers split the traffic, the one that served before the other came.

    It is the one that was told, even while the other has all of the traffic: it may get it back.
    Where that was lost, it is the last one on the line: a candidate begins at the left
    (`routing.py`). How much each has says nothing: a candidate may have most of it.
    """
    known = seen.revision(told)
    if known is not None:
        return known
    shares = [each.revision for each in line if each.parts and seen.revision(each.revision)]
    return seen.revision(shares[-1]) if shares else None


def _kept(
    seen: Observed, spec: Spec, wanted: Revision, serving: Revision | None
) -> tuple[Revision, ...]:
    playing = {wanted.name: wanted} | ({serving.name: serving} if serving else {})
    # One that still has pods or endpoints behind the address is not history: it shrinks first.
    busy = {r.name: r for r in seen.revisions if r.name not in playing and _busy(seen, r.name)}
    history = [r for r in seen.revisions if r.name not in playing and r.name not in busy]
    limit = spec.rollout.history_limit
    recent = history[-limit:] if limit else []
    kept = [*playing.values(), *busy.values(), *recent]
    return tuple(sorted(kept, key=lambda r: (r.number, r.name)))


def _busy(seen: Observed, revision: str) -> bool:
    return bool(
        seen.pods_of(revision) or _behind_address(seen, revision) or _routed(seen, revision)
    )


def _behind_address(seen: Observed, revision: str) -> bool:
    return seen.address is not None and seen.address.present.get(revision, 0) > 0


def _routed(seen: Observed, revision: str) -> bool:
    return seen.routing.site is not None and revision in seen.routing.site.routed


def hashed(spec: Spec) -> Json:
    """The parts that pods are made from, as far as they are set."""
    return spec.model_dump(mode="json", by_alias=True, include=set(HASHED), exclude_defaults=True)


def revision_name(deployment: str, variant: str, spec: Spec, restart: str = "") -> str:
    """`deployment`, a dash, and ten characters that stand for what pods are made from.

    Another `restart` makes a new revision of the same content.
    """
    parts = hashed(spec)
    content = [variant, parts, restart] if restart else [variant, parts]
    text = json.dumps(content, sort_keys=True, separators=(",", ":"))
    number = int.from_bytes(hashlib.sha256(text.encode()).digest())
    letters = []
    for _ in range(_LENGTH):
        number, letter = divmod(number, len(_ALPHABET))
        letters.append(_ALPHABET[letter])
    return f"{deployment}-{''.join(letters)}"
