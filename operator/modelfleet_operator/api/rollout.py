"""How a new revision takes over: `spec.rollout`."""

from datetime import timedelta
from enum import StrEnum
from typing import Annotated

from pydantic import ConfigDict, Field

from modelfleet_contract import Duration, Shared
from modelfleet_operator.api.analysis import Analysis
from modelfleet_operator.api.rules import ATOMIC, bounded_duration, is_countable, rule, rules


class Strategy(StrEnum):
    """In which steps the traffic moves."""

    ROLLING = "Rolling"
    """All of it, as soon as every pod of the new revision is ready."""
    PROGRESSIVE = "Progressive"
    """By the steps."""
    BLUE_GREEN = "BlueGreen"
    """All of it in one switch, after the new revision has stood ready at an address of its own."""


class OnFailure(StrEnum):
    """What becomes of a rollout whose revision is worse, or never ready."""

    ROLLBACK = "Rollback"
    """All traffic goes back, and the revision is not tried again until the spec changes."""
    PAUSE = "Pause"
    """Everything stays as it is until somebody decides."""


class Surge(StrEnum):
    """Where the pods of a new revision find their places."""

    AUTO = "Auto"
    """By the accelerators that are free when it begins; without accelerators, Surge."""
    SURGE = "Surge"
    """Beside the earlier ones, which all stay to the end."""
    IN_PLACE = "InPlace"
    """In theirs, one by one; one pod less than wanted serves meanwhile."""
    RECREATE = "Recreate"
    """In theirs, all at once: for a while nothing serves."""


class Step(Shared):
    """A share of the traffic, and for how long."""

    model_config = ConfigDict(
        json_schema_extra=rules(
            rule(
                "!self.untilPromoted || "
                f"!{is_countable('self.pause')} || duration(self.pause) == duration('0s')",
                "pause has no effect beside untilPromoted: leave one of them out.",
                ".pause",
            )
        )
    )

    weight: int = Field(ge=1, le=100)
    """Percent of the traffic that the new revision gets."""

    pause: Duration = Field(
        default=timedelta(0),
        validate_default=True,
        json_schema_extra=rules(
            bounded_duration("0s", "720h", "write a pause of at most 720h, like 10m.")
        ),
    )
    """How long it stays there before the next step. It counts from when every router serves the
    weight. Default 0s."""

    until_promoted: bool = False
    """Stay until somebody promotes. Default false."""


class Preview(Shared):
    """How long a new revision stands ready, without traffic, before the switch."""

    model_config = ConfigDict(
        json_schema_extra=rules(
            rule(
                "!self.untilPromoted || "
                f"!{is_countable('self.pause')} || duration(self.pause) == duration('0s')",
                "pause has no effect beside untilPromoted: leave one of them out.",
                ".pause",
            )
        )
    )

    pause: Duration = Field(
        default=timedelta(0),
        validate_default=True,
        json_schema_extra=rules(
            bounded_duration("0s", "720h", "write a pause of at most 720h, like 10m.")
        ),
    )
    """How long, from when all of its pods are ready and reached. Default 0s."""

    until_promoted: bool = False
    """Until somebody promotes. Default false."""


class Rollout(Shared):
    """How a new revision takes over."""

    model_config = ConfigDict(
        json_schema_extra=rules(
            rule(
                "self.strategy == 'Progressive' || !has(self.steps) || self.steps.size() == 0",
                "steps have no effect on this strategy: write strategy: Progressive, or leave "
                "steps out.",
                ".steps",
            ),
            rule(
                "self.strategy != 'Progressive' || (has(self.steps) && self.steps.size() > 0)",
                "a progressive rollout needs steps, like [{weight: 5, pause: 2m}, {weight: 50, "
                "pause: 10m}]; after the last one comes all of the traffic.",
                ".steps",
            ),
            rule(
                "self.strategy == 'Progressive' || !has(self.analysis) || "
                f"({is_countable('self.bake')} && duration(self.bake) > duration('0s'))",
                "there is nothing to judge: write strategy: Progressive with steps, give bake a "
                "time, or leave analysis out.",
                ".analysis",
            ),
            rule(
                "self.strategy == 'BlueGreen' || !has(self.preview)",
                "preview has no effect on this strategy: write strategy: BlueGreen, or leave "
                "preview out.",
                ".preview",
            ),
            rule(
                "!has(self.steps) || (self.steps.map(one, one.weight).isSorted() && "
                "self.steps.all(one, self.steps.exists_one(two, two.weight == one.weight)))",
                "the weights go up from step to step: put them in order, each once.",
                ".steps",
            ),
            rule(
                "self.surge != 'Recreate' || self.strategy == 'Rolling'",
                "with Recreate the two revisions never stand beside each other, so there is no "
                "traffic to split: write surge: Auto, or leave strategy out.",
                ".surge",
            ),
            rule(
                "self.surge != 'InPlace' || self.strategy != 'BlueGreen'",
                "a preview stands ready beside all that serves: write surge: Auto, or another "
                "strategy.",
                ".surge",
            ),
        )
    )

    strategy: Strategy = Strategy.ROLLING
    """Rolling: all traffic moves when the new revision is ready. Progressive: by `steps`.
    BlueGreen: in one switch, after a `preview` at the address NAME-preview. The last two need
    routing.mode Router or Gateway. Default Rolling."""

    steps: tuple[Step, ...] = Field(default=(), max_length=20, json_schema_extra=ATOMIC)
    """The shares of the traffic on the way, going up. Each follows when the new revision has the
    pods for it, and every router reaches them. All of the traffic comes after the last."""

    preview: Preview | None = None
    """How long a new revision stands ready before the switch. Default: it switches at once."""

    bake: Duration = Field(
        default=timedelta(0),
        validate_default=True,
        json_schema_extra=rules(
            bounded_duration("0s", "720h", "write a bake of at most 720h, like 10m.")
        ),
    )
    """How long the earlier revision keeps its pods after all of the traffic has moved, so that
    going back is one change of weights; the analysis goes on meanwhile. Needs routing.mode Router
    or Gateway. Default 0s."""

    analysis: Analysis | None = None
    """Judge each step before the next, by what the routers count. Default: the pauses alone."""

    on_failure: OnFailure = OnFailure.ROLLBACK
    """What to do when the new revision is worse, or not ready within progressDeadline. Default
    Rollback."""

    debug_for: Annotated[
        Duration,
        Field(
            validate_default=True,
            json_schema_extra=rules(
                bounded_duration("0s", "168h", "write a debugFor of at most 168h, like 1h.")
            ),
        ),
    ] = timedelta(0)
    """How long one pod of a revision that failed is kept, without traffic, to be looked at.
    Default 0s: it goes at once."""

    progress_deadline: Duration = Field(
        default=timedelta(minutes=15),
        validate_default=True,
        json_schema_extra=rules(
            bounded_duration("10s", "24h", "write a progressDeadline from 10s to 24h, like 15m.")
        ),
    )
    """How long a new revision may take to become ready for its next share before Progressing says
    that it is stuck, and onFailure decides. Default 15m."""

    surge: Surge = Surge.AUTO
    """Where the new revision's pods find their places. The choice and its reason are in
    status.variants[].rollout. All but Auto need routing.mode Router. Default Auto."""

    history_limit: int = Field(default=5, ge=0, le=50)
    """How many earlier revisions are kept, without pods, to go back to. Default 5."""
