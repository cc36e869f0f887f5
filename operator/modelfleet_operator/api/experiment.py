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
    """By what every variant is compared with the control."""

    model_config = ConfigDict(
        json_schema_extra=rules(
            rule(
                "(self.type == 'Value') == (self.name != '')",
                "write name, the name of the value, with type: Value and with no other.",
                ".name",
            ),
            rule(
                "self.type == 'Latency' || !has(self.threshold)",
                "threshold has no effect without type: Latency: leave one of them out.",
                ".threshold",
            ),
            rule(
                "self.type == 'Value' || !(has(self.goal) || has(self.missing))",
                "goal and missing have no effect without type: Value: leave them out.",
            ),
        )
    )

    type: MetricKind
    """ErrorRate: answers with a status of 500 and above. Latency: requests that took longer than
    threshold. Value: the mean of a value that the model returns or that is posted back."""

    name: str = Field(default="", max_length=63)
    """Of the value."""

    threshold: Duration | None = Field(
        default=None,
        json_schema_extra=rules(
            bounded_duration("1ms", "60s", "write a latency from 1ms to 60s, like 250ms.")
        ),
    )
    """Default: the p95 of the control's first 1,000 requests."""

    goal: Goal | None = None
    """Which value is better. Default: neither."""

    missing: Missing | None = None
    """What a request without the value counts as. Default Excluded: it does not."""


def _confidence() -> Any:
    return rules(
        rule(
            f"self.matches(r'{CONFIDENCE_PATTERN}') && self.substring(0, 2) >= '50'",
            "write a percentage from 50% to 99.99%, like 95%.",
        )
    )


class Experiment(Shared):
    """How variants are compared."""

    control: str | None = Field(default=None, min_length=1, max_length=63)
    """The variant that the others are compared with. Default: the first."""

    metrics: tuple[Metric, ...] = Field(
        default=(), max_length=4, json_schema_extra=map_by("type", "name")
    )
    """By what. Default: ErrorRate."""

    confidence: Annotated[str, Field(max_length=8, json_schema_extra=_confidence())] = "95%"
    """Of all intervals together, whenever one looks. Default 95%."""
