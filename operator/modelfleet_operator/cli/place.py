"""Where in the spec does a part of one variant stand?

A variant's entry in `spec.variants` replaces parts of the spec above as a whole, and inherits the
rest. What it replaces is written into its entry. What it inherits is written above, where nobody
else inherits it: else the other variants would be changed as well, and that is refused.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Final, Self

from modelfleet_operator.cli.exits import Refusal
from modelfleet_operator.cli.variants import listed
from modelfleet_operator.kinds import Json
from modelfleet_operator.plan.variants import REPLACED
from modelfleet_operator.seen import Resource

_NOTHING: Final[Mapping[str, Json]] = {"resources": {}}
"""How an entry says that its variant has none of a part that the spec above may have. There is no
way to say that of an accelerator."""


@dataclass(frozen=True, slots=True)
class Place:
    """One variant's place in the spec, as it was read."""

    resource: str
    variant: str
    above: Json
    """The spec, of which it inherits."""
    entries: tuple[Json, ...]
    """spec.variants."""

    @classmethod
    def of(cls, resource: Resource, raw: Json, variant: str) -> Self:
        spec = raw.get("spec") or {}
        return cls(resource.name, variant, spec, tuple(spec.get("variants") or ()))

    @property
    def entry(self) -> Json:
        """Its own; empty where the spec names no variants."""
        return next((each for each in self.entries if each["name"] == self.variant), {})

    @property
    def others(self) -> tuple[Json, ...]:
        return tuple(each for each in self.entries if each["name"] != self.variant)

    def with_parts(self, parts: Mapping[str, Any]) -> tuple[Json, tuple[str, ...]]:
        """A merge patch of the spec that gives the variant these parts (None: it has none of it),
        and what it changes, in words. Raises `Refusal`."""
        spec: Json = {}
        own = dict(self.entry)
        changed = []
        for part, wanted in parts.items():
            if own.get(part) is not None:
                own = self._replaced(own, part, wanted)
                changed.append(f"spec.variants[{self.variant}].{part}")
            else:
                self._only_its_own(part, wanted)
                spec[part] = _merge(self.above.get(part), wanted)
                changed.append(f"spec.{part}")
        if own != self.entry:
            # A merge patch replaces a list as a whole.
            spec["variants"] = [own if e["name"] == self.variant else e for e in self.entries]
        return spec, tuple(changed)

    def _replaced(self, own: Json, part: str, wanted: object) -> Json:
        if wanted is not None:
            return {**own, part: wanted}
        without = {key: value for key, value in own.items() if key != part}
        if self.above.get(part) is None:
            return without
        if part in _NOTHING:
            return {**without, part: _NOTHING[part]}
        raise Refusal(
            f"that revision of variant {self.variant} of {self.resource} had no {part}, and a "
            f"variant cannot be without the one of spec.{part}: take that away from the spec, and "
            f"give it to the variants that need it (spec.variants[].{part})"
        )

    def _only_its_own(self, part: str, wanted: object) -> None:
        """That nobody else inherits it. Raises `Refusal`."""
        heirs = [each["name"] for each in self.others if each.get(part) is None]
        if not heirs:
            return
        instead = f"change spec.{part} for all of them"
        if part in REPLACED and (wanted is not None or part in _NOTHING):
            its = f"spec.variants[{self.variant}].{part}"
            instead = f"give variant {self.variant} its own ({its}), or {instead}"
        raise Refusal(
            f"that revision of variant {self.variant} of {self.resource} had another spec.{part}, "
            f"which {listed(heirs)} would get as well: {instead}"
        )


def _merge(has: object, wanted: object) -> object:
    """A merge patch that makes the one out of the other."""
    if not isinstance(has, dict) or not isinstance(wanted, dict):
        return wanted
    gone = {key: None for key in has if key not in wanted}
    return gone | {
        key: _merge(has.get(key), value) for key, value in wanted.items() if has.get(key) != value
    }
