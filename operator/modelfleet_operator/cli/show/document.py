"""What `status` shows, for programs."""

import json
from typing import Any, Final

import yaml

from modelfleet_operator.api.moments import written_time
from modelfleet_operator.api.status import RevisionStatus, VariantStatus
from modelfleet_operator.cli.outcome import outcome
from modelfleet_operator.cli.picture import Picture
from modelfleet_operator.cli.show.revisions import role, state
from modelfleet_operator.kinds import Json
from modelfleet_operator.router.site import WHOLE


def to_json(document: Any, *, indent: int | None = 2) -> str:
    return json.dumps(document, indent=indent, ensure_ascii=False)


def to_yaml(document: Any) -> str:
    text: str = yaml.safe_dump(document, sort_keys=False, allow_unicode=True)
    return text.rstrip("\n")


STREAMS: Final = {
    "json": lambda document: to_json(document, indent=None),
    "yaml": lambda document: f"---\n{to_yaml(document)}",
}
"""One document after the other, so that each can be told from the next."""


def as_document(picture: Picture) -> Json:
    """Always the same keys; what is not known is null. Nothing in it ticks.

    `revisions` are those of every variant, and `rollout` is the one that is shown where there is
    room for one: on its way before failed. Each says whose it is.
    """
    status, resource, told = picture.status, picture.resource, picture.variant
    ended = outcome(resource)
    return {
        "name": resource.name,
        "namespace": resource.namespace,
        "generation": resource.generation,
        "observedGeneration": status.observed_generation,
        "phase": status.phase,
        "version": status.version,
        "url": status.url,
        "outcome": None if ended is None else {"well": ended.well, "message": ended.says},
        "rollout": None if told is None else _rollout(picture, told),
        "revisions": [
            _revision(picture, each, one) for each in status.variants for one in each.revisions
        ],
        "variants": [_variant(picture, each) for each in status.variants],
        "conditions": [_dumped(condition) for condition in status.conditions],
        "events": [
            {
                "at": None if event.at is None else written_time(event.at),
                "type": "Warning" if event.warning else "Normal",
                "reason": event.reason,
                "message": event.message,
                "count": event.count,
            }
            for event in picture.events
        ],
    }


def _variant(picture: Picture, told: VariantStatus) -> Json:
    return {
        "name": told.name,
        "percent": _percent(told.share),
        "stable": told.stable,
        "candidate": told.candidate,
        "readyReplicas": told.ready_replicas,
        "rollout": _rollout(picture, told),
        "revisions": [_revision(picture, told, each) for each in told.revisions],
    }


def _rollout(picture: Picture, told: VariantStatus) -> Json | None:
    rollout = told.rollout
    if rollout is None:
        return None
    document = {
        "variant": told.name,
        **rollout.model_dump(mode="json", by_alias=True, exclude={"analysis", "counted"}),
        "weight": told.weight,
        "steps": [step.weight for step in picture.steps],
        "analysis": None,
    }
    if rollout.analysis is not None:
        # The rest is the operator's memory.
        document["analysis"] = rollout.analysis.model_dump(
            mode="json",
            by_alias=True,
            exclude={"counted": True, "evidence": True, "checks": {"__all__": {"asked"}}},
        )
    return document


def _percent(parts: int | None) -> float | None:
    return None if parts is None else parts * 100 / WHOLE


def _revision(picture: Picture, told: VariantStatus, each: RevisionStatus) -> Json:
    return {
        "variant": told.name,
        "revision": each.number,
        "name": each.name,
        "version": each.version,
        "uri": each.uri,
        "digest": each.digest,
        "state": role(told, each.name).text,
        "percent": _percent(each.weight),
        "readyReplicas": each.ready_replicas,
        "replicas": each.replicas,
        "pods": [
            {
                "name": shown.pod.name,
                "ready": shown.pod.ready and not shown.pod.leaving,
                "state": state(shown).text,
                "restarts": shown.restarts,
                "created": None if shown.made is None else written_time(shown.made),
            }
            for shown in picture.pods
            if shown.pod.revision == each.name
        ],
    }


def _dumped(condition: Any) -> Json:
    document: Json = condition.model_dump(mode="json", by_alias=True)
    return document
