"""An API server in memory: objects as JSON, versions, uids, and the answers that matter here.

It takes the place of `KubeApi` in every test of what reads or writes. Stored objects are never
changed in place, so what was read stays as it was read. As the real one does, it fills in defaults,
writes quantities its own way and leaves out what is empty; what was applied before and is left out
now is taken away.
"""

import asyncio
from collections.abc import AsyncIterator, Callable, Iterable
from copy import deepcopy
from dataclasses import dataclass, field
from typing import Any

from modelfleet_operator import kinds
from modelfleet_operator.cluster.api import KubeApi
from modelfleet_operator.cluster.errors import ApiError, Conflict, NotFound, Refused
from modelfleet_operator.kinds import Kind
from modelfleet_operator.seen import Json

Where = tuple[str, str, str]
"""Kind, namespace, name."""


@dataclass(frozen=True, slots=True)
class Write:
    """One call that wanted to change something."""

    verb: str
    kind: str
    name: str
    body: Json = field(default_factory=dict, compare=False)

    def __str__(self) -> str:
        return f"{self.verb} {self.kind} {self.name}"


class MemoryApi(KubeApi):
    def __init__(self) -> None:
        self.objects: dict[Where, Json] = {}
        self.writes: list[Write] = []
        self.watched: list[Callable[[Write], None]] = []
        """Called with each write before it is done; what it raises is the answer."""
        self.spoken: dict[str, list[str]] = {}
        """What the container of a pod has said, by the pod's name; absent: it has not started."""
        self._listening: set[asyncio.Event] = set()
        self._applied: dict[tuple[Where, str | None], Json] = {}
        self.version = 0
        """One more with each change of anything."""
        self.gone_by: Callable[[], str] = lambda: "2026-03-01T12:01:10Z"
        """When a pod that is deleted now will have ended."""

    # What people and controllers do; none of it is the operator's and none is written down.

    def put(self, kind: Kind, body: Json) -> Json:
        """Stores an object as it is given, with what the server adds."""
        where = _where(kind, body["metadata"]["namespace"], body["metadata"]["name"])
        found = self.objects.get(where)
        metadata = {"generation": 1, **body["metadata"]}
        metadata.setdefault("uid", found["metadata"]["uid"] if found else f"uid-{self._next()}")
        metadata["resourceVersion"] = found["metadata"]["resourceVersion"] if found else ""
        stored = as_stored(kind, {**body, "metadata": metadata})
        if stored == found:
            return found
        metadata["resourceVersion"] = self._next()
        self.objects[where] = stored
        return stored

    def change(self, kind: Kind, namespace: str, name: str, **fields: Any) -> Json:
        """Merges into the object; a new spec of a ModelDeployment is a new generation."""
        found = self.objects[_where(kind, namespace, name)]
        return self._store(kind, found, _merged(found, fields))

    def remove(self, kind: Kind, namespace: str, name: str) -> None:
        where = _where(kind, namespace, name)
        del self.objects[where]
        self._next()
        self._applied = {key: body for key, body in self._applied.items() if key[0] != where}

    def find(self, kind: Kind, namespace: str, name: str) -> Json | None:
        return self.objects.get(_where(kind, namespace, name))

    def all(self, kind: Kind) -> list[Json]:
        there = [(where, body) for where, body in self.objects.items() if where[0] == kind.kind]
        return [body for _, body in sorted(there, key=lambda each: each[0])]

    # What the operator calls.

    async def close(self) -> None:
        pass

    async def get(self, kind: Kind, namespace: str, name: str) -> Json:
        found = self.find(kind, namespace, name)
        if found is None:
            raise NotFound(f'{kind.plural} "{name}" not found')
        return deepcopy(found)

    async def list(
        self,
        kind: Kind,
        namespace: str,
        *,
        label_selector: str = "",
        field_selector: str = "",
        remembered: bool = False,
    ) -> list[Json]:
        asked, fields = _selector(label_selector), _selector(field_selector)
        return [
            body
            for body in self.all(kind)
            if namespace in ("", body["metadata"]["namespace"])
            and asked.items() <= body["metadata"].get("labels", {}).items()
            and all(_field(body, path) == value for path, value in fields.items())
        ]

    async def watch(
        self,
        kind: Kind,
        namespace: str,
        *,
        label_selector: str = "",
        field_selector: str = "",
        since: str = "",
    ) -> AsyncIterator[Json]:
        """Never ends by itself. `since` is ignored: what there is comes first."""
        known: dict[str, Json] = {}
        heard = asyncio.Event()
        self._listening.add(heard)
        try:
            while True:
                heard.clear()
                there = await self.list(
                    kind, namespace, label_selector=label_selector, field_selector=field_selector
                )
                now = {body["metadata"]["name"]: body for body in there}
                for name, body in now.items():
                    if known.get(name) != body:
                        yield {"type": "MODIFIED" if name in known else "ADDED", "object": body}
                for name in known.keys() - now.keys():
                    yield {"type": "DELETED", "object": known[name]}
                known = now
                await heard.wait()
        finally:
            self._listening.discard(heard)

    async def logs(
        self,
        namespace: str,
        pod: str,
        container: str,
        *,
        follow: bool = False,
        previous: bool = False,
        tail: int | None = None,
        since_s: int | None = None,
    ) -> AsyncIterator[str]:
        """To be followed, a container says its lines and goes on in silence."""
        if pod not in self.spoken:
            raise Refused(f'container "{container}" in pod "{pod}" is waiting to start')
        said = self.spoken[pod]
        for text in said if tail is None else said[len(said) - min(tail, len(said)) :]:
            yield text
        if follow:
            await asyncio.Event().wait()

    async def create(self, kind: Kind, namespace: str, body: Json) -> Json:
        name = body["metadata"]["name"]
        self._write("create", kind, name, body)
        if self.find(kind, namespace, name) is not None:
            raise Conflict(f'{kind.plural} "{name}" already exists')
        return self.put(kind, body)

    async def apply(
        self, kind: Kind, namespace: str, body: Json, *, subresource: str | None = None
    ) -> Json:
        name, where = body["metadata"]["name"], _where(kind, namespace, body["metadata"]["name"])
        self._write("apply" if subresource is None else f"apply {subresource}", kind, name, body)
        found, uid = self.objects.get(where), body["metadata"].get("uid")
        if found is None and subresource is not None:
            raise NotFound(f'{kind.plural} "{name}" not found')
        if uid is not None and (found is None or found["metadata"]["uid"] != uid):
            raise Conflict(f"uid mismatch: no object has the uid {uid}")
        mine = self._applied.get((where, subresource), {})
        self._applied[where, subresource] = body
        if found is None:
            return self.put(kind, body)
        fields = body if subresource is None else {subresource: body[subresource]}
        before = mine if subresource is None else {subresource: mine.get(subresource, {})}
        changed = _merged(_without(found, before, fields), fields)
        if kind == kinds.SERVICE:  # a selector is one value, and no map of fields
            changed["spec"]["selector"] = body["spec"]["selector"]
        return self._store(kind, found, changed)

    async def scale(self, kind: Kind, namespace: str, name: str, replicas: int) -> None:
        self._write("scale", kind, name, {"spec": {"replicas": replicas}})
        found = await self.get(kind, namespace, name)
        self._store(kind, found, _merged(found, {"spec": {"replicas": replicas}}))

    async def annotate(
        self, kind: Kind, namespace: str, name: str, annotations: dict[str, str | None]
    ) -> None:
        self._write("annotate", kind, name, {"metadata": {"annotations": annotations}})
        found = await self.get(kind, namespace, name)
        merged = {**found["metadata"].get("annotations", {}), **annotations}
        left = {key: text for key, text in merged.items() if text is not None}
        self._store(kind, found, {**found, "metadata": {**found["metadata"], "annotations": left}})

    async def patch(self, kind: Kind, namespace: str, name: str, fields: Json) -> Json:
        self._write("patch", kind, name, fields)
        found = await self.get(kind, namespace, name)
        version = fields.get("metadata", {}).get("resourceVersion")
        if version not in (None, found["metadata"]["resourceVersion"]):
            raise Conflict("the object has been modified")
        return self._store(kind, found, merge_patched(found, fields))

    async def replace(self, kind: Kind, namespace: str, body: Json) -> Json:
        name = body["metadata"]["name"]
        self._write("replace", kind, name, body)
        found = await self.get(kind, namespace, name)
        if found["metadata"]["resourceVersion"] != body["metadata"]["resourceVersion"]:
            raise Conflict("the object has been modified")
        return self.put(kind, body)

    async def delete(self, kind: Kind, namespace: str, name: str, uid: str) -> None:
        self._write("delete", kind, name, {})
        found = await self.get(kind, namespace, name)
        if found["metadata"]["uid"] != uid:
            raise Conflict(f"precondition failed: uid {uid}")
        if kind == kinds.POD:  # it has its grace period
            self.change(kind, namespace, name, metadata={"deletionTimestamp": self.gone_by()})
        else:
            self.remove(kind, namespace, name)

    def _write(self, verb: str, kind: Kind, name: str, body: Json) -> None:
        write = Write(verb, kind.kind, name, body)
        self.writes.append(write)
        for watch in self.watched:
            watch(write)

    def _store(self, kind: Kind, found: Json, changed: Json) -> Json:
        stored = as_stored(kind, changed)
        if stored == found:
            return found
        metadata = {**stored["metadata"], "resourceVersion": self._next()}
        if stored.get("spec") != found.get("spec"):
            metadata["generation"] = found["metadata"].get("generation", 1) + 1
        stored = {**stored, "metadata": metadata}
        self.objects[_where(kind, metadata["namespace"], metadata["name"])] = stored
        return stored

    def _next(self) -> str:
        self.version += 1
        for heard in self._listening:
            heard.set()
        return str(self.version)


def refusing(verb: str, kind: Kind, error: ApiError) -> Callable[[Write], None]:
    """For `watched`: the server's answer to every such write."""

    def watch(write: Write) -> None:
        if (write.verb, write.kind) == (verb, kind.kind):
            raise error

    return watch


def said(writes: Iterable[Write]) -> list[str]:
    return [str(write) for write in writes]


def _where(kind: Kind, namespace: str, name: str) -> Where:
    return kind.kind, namespace, name


def _merged(found: Any, changed: Any) -> Any:
    """Dictionaries field by field; anything else, lists too, is replaced."""
    if not isinstance(found, dict) or not isinstance(changed, dict):
        return changed
    return {**found, **{k: _merged(found.get(k), v) for k, v in changed.items()}}


def merge_patched(found: Any, fields: Any) -> Any:
    """A JSON merge patch: None takes away."""
    if not isinstance(fields, dict):
        return fields
    has = found if isinstance(found, dict) else {}
    changed = {key: merge_patched(has.get(key), value) for key, value in fields.items()}
    return {key: value for key, value in {**has, **changed}.items() if value is not None}


def _selector(text: str) -> dict[str, str]:
    return dict(part.split("=", 1) for part in text.split(",") if part)


def _field(body: Json, path: str) -> Any:
    for part in path.split("."):
        body = body.get(part, {})
    return body


def _without(found: Json, before: Json, now: Json) -> Json:
    """`found` less what `before` said and `now` does not."""
    kept = {}
    for key, value in found.items():
        if key in before and key not in now:
            continue
        if isinstance(value, dict) and isinstance(before.get(key), dict):
            after = now.get(key)
            kept[key] = _without(value, before[key], after if isinstance(after, dict) else {})
        else:
            kept[key] = value
    return kept


def as_stored(kind: Kind, body: Json) -> Json:
    """As the server gives it back."""
    if kind == kinds.DEPLOYMENT:
        spec = {"replicas": 1, "progressDeadlineSeconds": 600, **body["spec"]}
        return {**body, "spec": {**spec, "template": _template(spec["template"])}}
    if kind == kinds.SERVICE:
        return {**body, "spec": {"clusterIP": "10.0.0.1", "sessionAffinity": "None"} | body["spec"]}
    return body


def _template(template: Json) -> Json:
    spec = template["spec"]
    return {
        **template,
        "spec": {
            "restartPolicy": "Always",
            "dnsPolicy": "ClusterFirst",
            **spec,
            **{
                key: [_container(each) for each in spec[key]]
                for key in ("initContainers", "containers")
                if key in spec
            },
        },
    }


def _container(container: Json) -> Json:
    """An empty value is left out, and an amount is written in the largest unit that holds it."""
    made = {"terminationMessagePath": "/dev/termination-log", **container}
    made["env"] = [{k: v for k, v in e.items() if v != ""} for e in container.get("env", ())]
    written = {"1000m": "1", "1024Mi": "1Gi", "0.5": "500m", "0.0001": "100u"}
    if "resources" in made:
        made["resources"] = {
            which: {name: written.get(amount, amount) for name, amount in amounts.items()}
            for which, amounts in made["resources"].items()
        }
    return made
