"""By what are variants compared? `spec.experiment`."""

from enum import StrEnum
from typing import Annotated, Any

from pydantic import ConfigDict, Field

from modelfleet_contract import Duration, Shared
from modelfleet_operator.api.rules import bounded_duration, map_by, rule, rules

CONFIDENCE_PATTERN = r"^[0-9]{2}(\.[0-9]{1,2})?%$"


# The CRD has to stay small: what the values mean stands in the fields' sentences.


class MetricKind(StrEnum):
    ERROR_RATE = "ErrorRate"
    LATENCY = "Latency"
    VALUE = "Value"


class Goal(StrEnum):
    LOWER = "Lower"
    HIGHER = "Higher"


class Missing(StrEnum):
    EXCLUDED = "Excluded"
    ZERO = "Zero"


class Metric(Shared):
    """One metric."""

    model_config = ConfigDict(
        json_schema_extra=rules(
            rule(
                "(self.type == 'Value') == (self.name != '') && "
                "(self.type == 'Latency' || !has(self.threshold)) && "
                "(self.type == 'Value' || !(has(self.goal) || has(self.missing)))",
                "write name with Value; threshold goes with Latency, goal and missing with Value.",
            )
        )
    )

    type: MetricKind
    """ErrorRate: answers with a status from 500 on. Latency: requests that took longer than
    threshold. Value: the mean of a value."""

    name: str = Field(default="", max_length=63)
    """Of the value, in runtime.values or runtime.feedback."""

    threshold: Duration | None = Field(
        default=None,
        json_schema_extra=rules(bounded_duration("1ms", "60s", "write 1ms to 60s, like 250ms.")),
    )
    """Default: the p95 of the control's first 1,000 requests."""

    goal: Goal | None = None
    """Which value is better. Default: neither."""

    missing: Missing | None = None
    """What a request without it counts as. Default Excluded."""


def _confidence() -> Any:
    return rules(
        rule(
            f"self.matches(r'{CONFIDENCE_PATTERN}') && self.substring(0, 2) >= '50'",
            "write 50% to 99.99%, like 95%.",
        )
    )


class Experiment(Shared):
    """How variants are compared."""

    control: str | None = Field(default=None, max_length=63)
    """What the others are compared with. Default: the first."""

    metrics: tuple[Metric, ...] = Field(
        default=(), max_length=4, json_schema_extra=map_by("type", "name")
    )
    """By what. Default: ErrorRate."""

    confidence: Annotated[str, Field(max_length=8, json_schema_extra=_confidence())] = "95%"
    """Of all intervals together, whenever one looks. Default 95%."""
