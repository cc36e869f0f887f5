"""Applies, reads and waits on the real cluster. To wait is to watch: nothing here polls."""

import json
import os
import select
import subprocess
import time
from collections.abc import Callable, Iterator
from typing import Any

from tests.e2e.program import Program

Json = dict[str, Any]


class Kube:
    """The cluster, as the tests speak of it."""

    def __init__(self, kubectl: Program) -> None:
        self.kubectl = kubectl

    def apply(self, namespace: str, *objects: Json) -> None:
        body = json.dumps({"apiVersion": "v1", "kind": "List", "items": list(objects)})
        self.kubectl("apply", "--namespace", namespace, "--filename", "-", stdin=body)

    def get(self, namespace: str, what: str, name: str, *more: str) -> Json:
        found = self.kubectl("get", what, name, "--namespace", namespace, "--output", "json", *more)
        return json.loads(found.stdout)  # type: ignore[no-any-return]

    def every(self, namespace: str, what: str, selector: str = "") -> list[Json]:
        args = ["get", what, "--namespace", namespace, "--output", "json"]
        if selector:
            args += ["--selector", selector]
        items: list[Json] = json.loads(self.kubectl(*args).stdout)["items"]
        return items

    def patch(self, namespace: str, what: str, name: str, change: Json) -> None:
        self.kubectl(
            "patch", what, name, "--namespace", namespace,
            "--type", "merge", "--patch", json.dumps(change),
        )  # fmt: skip

    def patch_status(self, what: str, name: str, change: Json) -> None:
        """Of something that is in no namespace."""
        self.kubectl(
            "patch", what, name, "--subresource", "status",
            "--type", "merge", "--patch", json.dumps(change),
        )  # fmt: skip

    def delete(self, namespace: str, what: str, name: str, *more: str) -> None:
        self.kubectl("delete", what, name, "--namespace", namespace, *more)

    def until(
        self,
        namespace: str,
        what: str,
        name: str,
        holds: Callable[[Json], object],
        *,
        timeout: float = 60,
        why: str = "",
    ) -> Json:
        """The object, as soon as `holds` is true of it."""
        last: Json | None = None
        selected = ["--field-selector", f"metadata.name={name}"]
        for seen in self._watch(namespace, what, selected, timeout):
            last = seen
            if holds(seen):
                return seen
        shown = json.dumps((last or {}).get("status"), indent=1)
        raise AssertionError(f"{what} {name}: not {why or 'as expected'} in {timeout} s: {shown}")

    def until_any(
        self,
        namespace: str,
        what: str,
        selector: str,
        holds: Callable[[Json], object],
        *,
        timeout: float = 60,
    ) -> Json:
        """The first object of those that the selector finds of which `holds` is true."""
        for seen in self._watch(namespace, what, ["--selector", selector], timeout):
            if holds(seen):
                return seen
        raise AssertionError(f"no {what} with {selector} was as expected in {timeout} s")

    def until_gone(self, namespace: str, what: str, selector: str, timeout: float = 60) -> None:
        self.kubectl(
            "wait", "--for=delete", what, "--selector", selector, "--namespace", namespace,
            f"--timeout={timeout:.0f}s",
        )  # fmt: skip

    def _watch(self, namespace: str, what: str, more: list[str], timeout: float) -> Iterator[Json]:
        args = ["get", what, "--namespace", namespace, "--watch", "--output", "json", *more]
        command = [*self.kubectl.command, *args]
        with subprocess.Popen(
            command, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL
        ) as process:
            try:
                yield from _objects(process, time.monotonic() + timeout)
            finally:
                process.kill()


def _objects(process: "subprocess.Popen[bytes]", deadline: float) -> Iterator[Json]:
    """The objects that a `kubectl get --watch` prints, until the deadline."""
    assert process.stdout is not None
    text, decoder = "", json.JSONDecoder()
    while (left := deadline - time.monotonic()) > 0:
        ready, _, _ = select.select([process.stdout], [], [], left)
        if not ready:
            return
        read = os.read(process.stdout.fileno(), 1 << 20)
        if not read:
            return
        text += read.decode()
        while text := text.lstrip():
            try:
                found, end = decoder.raw_decode(text)
            except ValueError:
                break
            text = text[end:]
            yield from found["items"] if found.get("kind") == "List" else [found]


def condition(resource: Json, type_: str) -> Json:
    """The condition, empty when it is not there."""
    found = resource.get("status", {}).get("conditions", ())
    return next((c for c in found if c["type"] == type_), {})


def is_true(type_: str) -> Callable[[Json], bool]:
    """Whether a condition is True and speaks of the present spec."""

    def holds(resource: Json) -> bool:
        current = resource["status"].get("observedGeneration") == resource["metadata"]["generation"]
        return current and condition(resource, type_).get("status") == "True"

    return lambda resource: "status" in resource and holds(resource)


def has_reason(type_: str, reason: str) -> Callable[[Json], bool]:
    """Whether a condition is not True for that reason."""

    def holds(resource: Json) -> bool:
        found = condition(resource, type_)
        return found.get("status") != "True" and found.get("reason") == reason

    return holds
