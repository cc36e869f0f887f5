"""When is a new revision good enough? `spec.rollout.analysis`."""

from datetime import timedelta
from enum import StrEnum
from typing import Annotated, Any

from pydantic import ConfigDict, Field

from modelfleet_contract import Duration, Shared
from modelfleet_operator.api.rules import (
    SHAPES,
    bounded_duration,
    map_by,
    quoted,
    rule,
    rules,
    shaped,
)

PERCENT_PATTERN = r"^(100|[0-9]{1,2})(\.[0-9]{1,4})?%$"
SHAPES[PERCENT_PATTERN] = "write a percentage, like 1% or 0.5%."
NUMBER_PATTERN = r"^-?[0-9]+(\.[0-9]+)?(e-?[0-9]{1,2})?$"
SHAPES[NUMBER_PATTERN] = "write a number in quotes, like '0.5', '-2' or '1e9'."
QUERY_NAME_PATTERN = r"^[a-z]([-a-z0-9]*[a-z0-9])?$"

PLACEHOLDERS = ("revision", "stable", "namespace", "name", "variant")
"""What may stand in a query in double braces. Their values are names of Kubernetes objects, in
which no PromQL ends or begins."""
_QUERY_PATTERN = rf"^([^{{]|\{{[^{{]|\{{\{{({'|'.join(PLACEHOLDERS)})\}}\}})*\{{?$"

_LATENCY = rules(
    bounded_duration("1ms", "60s", "write a latency from 1ms to 60s, in whole ms, like 250ms.")
)


class OnNoData(StrEnum):
    """What to do when there is nothing to judge by."""

    HOLD = "Hold"
    PROCEED = "Proceed"
    FAIL = "Fail"


class OnUndecided(StrEnum):
    """What to do when a step has had its time and is still undecided."""

    PAUSE = "Pause"
    PROCEED_IF_CLEAN = "ProceedIfClean"
    """Go on where nothing speaks against it."""
    ROLLBACK = "Rollback"


class Latencies(Shared):
    """The longest that a share of the requests may take."""

    model_config = ConfigDict(
        json_schema_extra=rules(
            rule(
                "has(self.p50) || has(self.p95) || has(self.p99)",
                "write at least one of p50, p95 and p99, like p99: 250ms.",
            )
        )
    )

    p50: Duration | None = Field(default=None, json_schema_extra=_LATENCY)
    """Of half of them."""
    p95: Duration | None = Field(default=None, json_schema_extra=_LATENCY)
    """Of 95 in 100."""
    p99: Duration | None = Field(default=None, json_schema_extra=_LATENCY)
    """Of 99 in 100."""


def _limit() -> Any:
    """A number, as a text: the API has no numbers with a point."""
    return Field(max_length=24, json_schema_extra=rules(shaped(NUMBER_PATTERN)))


class Query(Shared):
    """What a Prometheus is asked at each look, and between which numbers the answer has to lie."""

    model_config = ConfigDict(
        json_schema_extra=rules(
            rule(
                "has(self.min) || has(self.max)",
                "no answer would be wrong: write max, min or both, like max: '0.5'.",
            ),
            rule(
                "!has(self.min) || !has(self.max) || "
                f"![self.min, self.max].all(one, one.matches({quoted(NUMBER_PATTERN)})) || "
                "double(self.min) <= double(self.max)",
                "no answer would be right: write a min that is not above max.",
                ".min",
            ),
        )
    )

    name: str = Field(
        min_length=1,
        max_length=40,
        json_schema_extra=rules(
            rule(
                f"self.matches({quoted(QUERY_NAME_PATTERN)})",
                "write a query's name in lower-case letters, digits and -, beginning with a "
                "letter.",
            )
        ),
    )
    """What its check is called in the status."""

    query: str = Field(
        min_length=1,
        max_length=1024,
        json_schema_extra=rules(
            rule(
                f"self.matches({quoted(_QUERY_PATTERN)})",
                "in double braces write one of "
                + ", ".join(f"{{{{{each}}}}}" for each in PLACEHOLDERS)
                + ", and nothing else.",
            )
        ),
    )
    """PromQL with one number as its answer. {{revision}}, {{stable}}, {{namespace}}, {{name}} and
    {{variant}} stand for those of this rollout."""

    max: Annotated[str, _limit()] | None = None
    """The largest answer that is good, like '0.5'."""

    min: Annotated[str, _limit()] | None = None
    """The smallest."""

    failures: int = Field(default=3, ge=1, le=100)
    """So many looks in a row with a bad answer fail the step. Default 3."""


def _bounded(least: str, most: str, example: str) -> Any:
    """A field that is a duration between two others."""
    text = f"write a duration from {least} to {most}, like {example}."
    return Field(
        validate_default=True, json_schema_extra=rules(bounded_duration(least, most, text))
    )


class Analysis(Shared):
    """When a step passes, and when the new revision is worse. Judged by what the routers count, and
    by a Prometheus where it is asked."""

    model_config = ConfigDict(
        json_schema_extra=rules(
            rule(
                "self.compareToStable || has(self.maxErrorRate) || has(self.maxLatency) || "
                "(has(self.queries) && self.queries.size() > 0)",
                "there is nothing to judge by: write maxErrorRate, maxLatency or queries, or leave "
                "compareToStable out.",
                ".compareToStable",
            )
        )
    )

    min_requests: int = Field(default=100, ge=1, le=1_000_000)
    """How many requests of the new revision each step judges at least. Default 100."""

    max_error_rate: str | None = Field(
        default=None, max_length=16, json_schema_extra=rules(
            shaped(PERCENT_PATTERN),
            rule(
                "!self.matches(r'^0+(\\.0+)?%$') && !self.startsWith('100')",
                "no number of requests could prove that: write a percentage between 0% and 100%, "
                "like 1%.",
            ),
        )
    )  # fmt: skip
    """The most answers with a status of 500 and above, like 1%. Default: only the comparison."""

    max_latency: Latencies | None = None
    """The longest that answers may take. Default: only the comparison."""

    compare_to_stable: bool = True
    """Compare errors and the slowest answers with those of the stable revision over the same time.
    Default true."""

    queries: tuple[Query, ...] = Field(default=(), max_length=4, json_schema_extra=map_by("name"))
    """What the operator's Prometheus is asked as well. Default: nothing; it needs none."""

    on_no_data: OnNoData = OnNoData.HOLD
    """What to do where the new revision gets no requests, or a query no answer: Hold, Proceed or
    Fail. Default Hold."""

    warm_up: Annotated[Duration, _bounded("0s", "1h", "1m")] = timedelta(minutes=1)
    """How long a new revision is not judged after its pods became ready, except where it fails
    altogether. Default 1m."""

    timeout: Annotated[Duration, _bounded("1s", "168h", "30m")] = timedelta(minutes=30)
    """How long a step may be undecided. Default 30m."""

    on_timeout: OnUndecided = OnUndecided.PAUSE
    """What to do then: Pause, ProceedIfClean or Rollback. Default Pause."""
