"""The status of a ModelDeployment: what the operator found and did, enough to act on."""

from enum import StrEnum
from typing import Annotated, Final

from pydantic import BeforeValidator, ConfigDict, Field, WithJsonSchema

from modelfleet_contract import Shared
from modelfleet_operator.api.reasons import Reason
from modelfleet_operator.api.rules import BRIEF, map_by

# The CRD lists no values for these: one that a later operator adds must not make an older CRD
# refuse the whole status.
_ANY_WORD: Final = WithJsonSchema({"type": "string", "maxLength": 128})


class ConditionType(StrEnum):
    """The conditions, in the order in which they are shown."""

    READY = "Ready"
    """What is asked for is served: the wanted revision takes all traffic with every pod ready."""
    AVAILABLE = "Available"
    """Requests to the address are answered, by whichever revision."""
    PROGRESSING = "Progressing"
    """A change is on its way."""
    SCHEDULED = "Scheduled"
    """Every pod that should run has a node."""
    STABLE_HEALTHY = "StableHealthy"
    """The revision that serves has all its pods ready."""


class Truth(StrEnum):
    """A condition's status."""

    TRUE = "True"
    FALSE = "False"
    UNKNOWN = "Unknown"


class Told(Shared):
    """Base of what is read back from the cluster: a field of a later version is no error."""

    model_config = ConfigDict(extra="ignore")


class Condition(Told):
    """One thing that is true, false or unknown, and why."""

    type: Annotated[ConditionType, _ANY_WORD]
    status: Truth
    reason: Annotated[Reason, _ANY_WORD]
    message: str = Field(default="", max_length=32768)
    observed_generation: int | None = None
    last_transition_time: str | None = None


class RevisionStatus(Told):
    """One revision that exists."""

    name: str
    """The name of its Deployment, headless Service and ControllerRevision."""
    number: int
    """1 for the first, one more for each later one."""
    version: str | None = None
    """The label that people gave it (model.version)."""
    uri: str = ""
    digest: str | None = None
    replicas: int = 0
    """Pods that exist."""
    ready_replicas: int = 0
    weight: int | None = None
    """Its share of all traffic, in parts of 10000; absent where no router shares it out."""
    idle_since: str | None = None
    """Since when it has had no traffic and waits for its last requests (RFC 3339)."""


class Phase(StrEnum):
    """Where a rollout stands."""

    STARTING = "Starting"
    """The pods for the next share are on their way to being ready."""
    SHIFTING = "Shifting"
    """The weight is written, and not every router serves it yet."""
    HOLDING = "Holding"
    """The share is served; its pause, its analysis or a person decides what is next."""
    PAUSED = "Paused"
    """A person paused it, or it failed and is to wait for one."""
    ROLLING_BACK = "RollingBack"
    """The traffic is on its way back to the stable revision."""
    FAILED = "Failed"
    """The traffic is back. The revision is not tried again until the spec changes."""


def _known_phase(word: object) -> object:
    """A later operator's own phase is no reason to forget all of its status."""
    return word if word in set(Phase) else Phase.STARTING


class CheckStatus(Told):
    """What the analysis has found by one check. Shares are percentages, evidence is a logarithm."""

    name: str
    """Such as errors, errors against stable, p99, query NAME."""
    verdict: str
    """Harmful, Harmless or Open."""
    requests: int = 0
    """Of the candidate, judged so far."""
    failures: int = 0
    rate: str | None = None
    low: str | None = None
    """The true rate lies between low and high (with 95 %, whenever one looks)."""
    high: str | None = None
    stable_requests: int | None = None
    stable_failures: int | None = None
    stable_rate: str | None = None
    difference: str | None = None
    """The candidate's rate less the stable one's, over the same time."""
    harm: str = ""
    """Evidence that the candidate is worse."""
    harm_needed: str = ""
    """With so much it is rolled back."""
    more: int | None = None
    """Requests that are still needed, if they end as those before."""
    value: str | None = None
    """What a query was answered at the last look; this and what follows are of queries alone."""
    limit: str | None = None
    """Which answers are good."""
    beyond: int | None = None
    """Looks in a row at which the answer was not."""
    missed: int | None = None
    """Looks in a row at which there was none."""
    asked: str | None = None
    """Stands for the query and its limits; of others the looks are counted anew."""
    message: str = Field(default="", max_length=4096)


class AnalysisStatus(Told):
    """How a step is judged so far."""

    step: int = 0
    verdict: str = ""
    """Stale, WarmUp, Fail, Wait, Pass, Timeout or Undecided."""
    action: str = "Hold"
    """What follows: Hold, Next, Pause or RollBack."""
    message: str = Field(default="", max_length=4096)
    requests: int = 0
    """Of the candidate, judged so far."""
    more: int | None = None
    """Requests until every check would pass; absent where that cannot be said."""
    estimate: str = Field(default="", max_length=1024)
    """How long the steps take at the traffic with which the rollout began."""
    checks: tuple[CheckStatus, ...] = Field(default=(), json_schema_extra=map_by("name"))
    missed: int = 0
    """Looks in a row at which no router could be read."""
    counted: str = Field(default="", max_length=65536)
    """What the routers had counted at the last look; for the operator."""
    evidence: str = Field(default="", max_length=65536)
    """What was learnt so far; for the operator."""


class RolloutStatus(Told):
    """A rollout that is on its way, or that failed."""

    candidate: str
    """The revision that is about to take over."""
    attempt: int = 1
    """1, and one more for each retry."""
    step: int = 0
    """How many of spec.rollout.steps are done. When all are, the rest of the traffic follows."""
    steps: str = ""
    """Stands for the steps that it counts; other steps are counted anew."""
    phase: Annotated[Phase, BeforeValidator(_known_phase), _ANY_WORD]
    message: str = Field(default="", max_length=32768)
    """What it does, or waits for."""
    surge: str = ""
    """The way that was chosen: Surge, InPlace or Recreate."""
    surge_reason: str = Field(default="", max_length=4096)
    """Why that one."""
    demand: int = 0
    """Pods that all of the traffic needed then."""
    spare: int = 0
    """So many more may stand at a time, of both revisions together; for InPlace."""
    held_since: str | None = None
    """Since when every router serves the step's weight (RFC 3339); the pause counts from here."""
    waiting_since: str | None = None
    """Since when the pods for the next share are awaited; rollout.progressDeadline counts from
    here."""
    failed: str = ""
    """Why it failed; empty while it has not."""
    failed_since: str | None = None
    """When the traffic was back; rollout.debugFor counts from here."""
    observed: str = ""
    """How many requests went to the candidate since the step is served, as all routers count."""
    counted: str = Field(default="", max_length=65536)
    """What the routers had counted when it was; for the operator."""
    analysis: Annotated[AnalysisStatus | None, Field(json_schema_extra=BRIEF)] = None
    """How the step is judged; absent where spec.rollout.analysis is."""
    stamp: str = ""
    """What a verb has to bear to be meant for this step: REVISION/ATTEMPT/STEP, with the last ten
    letters of the candidate's name."""


class VariantStatus(Told):
    """One arm of the deployment, with its revisions."""

    name: str
    share: int | None = None
    """Its share of all traffic, in parts of 10000; absent where no router shares it out."""
    awaits: int | None = None
    """Pods that its next share is thought to need, where an autoscaler decides on them; absent
    where no larger share is on its way."""
    awaits_share: int | None = None
    """That share, in parts of 10000."""
    stable: str | None = None
    """The revision that serves; absent until the first one is ready."""
    candidate: str | None = None
    """The revision that is about to take over; absent when none is."""
    candidate_since: str | None = None
    """When that began (RFC 3339); rollout.progressDeadline counts from here."""
    weight: int = 0
    """The candidate's share of the variant's traffic, in percent."""
    rollout: RolloutStatus | None = None
    """The rollout that is on its way, or that failed; absent when none is."""
    ready_replicas: int = 0
    revisions: tuple[RevisionStatus, ...] = Field(default=(), json_schema_extra=map_by("name"))


# What is below status.experiment is described here alone: the CRD has a limit of size.
_EXPERIMENT: Final = WithJsonSchema(
    {
        "type": "object",
        "description": "How the variants compare: message, arms, comparisons and sampleRatio, "
        "since the shares were last changed. docs/experiments.md.",
        "additionalProperties": True,
    }
)


class ArmStatus(Told):
    """What one variant did since the shares were last changed. Percentages and milliseconds are
    texts: the API has no numbers with a point."""

    variant: str
    weight: str | None = None
    """Its share of the requests, as the routers serve it; absent of a shadow, which gets copies."""
    shadow: bool = False
    requests: int = 0
    errors: int = 0
    error_rate: str | None = None
    p50: str | None = None
    """In ms, to within 8 %, as are p95 and p99."""
    p95: str | None = None
    p99: str | None = None


class ComparisonStatus(Told):
    """One variant against the control, by one metric."""

    variant: str
    metric: str
    """ErrorRate, Latency, or Value/NAME."""
    control: str | None = None
    """A percentage, or the mean of a value; as are those that follow."""
    arm: str | None = None
    difference: str | None = None
    low: str | None = None
    """The difference lies between low and high: with spec.experiment.confidence for all comparisons
    together, whenever one looks."""
    high: str | None = None
    p_value: str | None = None
    """Always valid, and with regard to how many comparisons there are. It remembers what was before
    the shares were changed."""
    differs: bool = False
    message: str = ""


class SampleRatioStatus(Told):
    """Whether chance alone decides who gets which variant."""

    verdict: str = ""
    """Ok, Mismatch or Unknown."""
    message: str = ""


class ExperimentStatus(Told):
    """How the variants compare."""

    since: str | None = None
    """Since when the routers serve these shares (RFC 3339). Everything but the p-values counts from
    here."""
    control: str = ""
    message: str = ""
    """What can be concluded."""
    arms: tuple[ArmStatus, ...] = ()
    comparisons: tuple[ComparisonStatus, ...] = ()
    sample_ratio: SampleRatioStatus | None = None
    looked: str | None = None
    """When it was counted last (RFC 3339)."""
    counted: str = ""
    """What the routers had counted then; for the operator."""
    evidence: str = ""
    """What was learnt so far; for the operator."""


class Status(Told):
    """What the operator found and did."""

    observed_generation: int | None = None
    """The generation of the spec that this status speaks of."""
    url: str | None = None
    """The address inside the cluster."""
    version: str | None = None
    """model.version of the revision that serves (its name, where there is no version); of several
    variants one after the other."""
    replicas: int = 0
    """Pods of the revision that serves, or of the first one on its way."""
    ready_replicas: int = 0
    desired_replicas: int = 0
    phase: str | None = None
    """One word for people: Pending, Progressing, Ready, Degraded, Failed or Stopped."""
    selector: str | None = None
    """Selects the pods that count as replicas, for /scale."""
    conditions: tuple[Condition, ...] = Field(default=(), json_schema_extra=map_by("type"))
    variants: tuple[VariantStatus, ...] = Field(default=(), json_schema_extra=map_by("name"))
    experiment: Annotated[ExperimentStatus | None, _EXPERIMENT] = None

    def condition(self, type_: ConditionType) -> Condition | None:
        return next((c for c in self.conditions if c.type is type_), None)
