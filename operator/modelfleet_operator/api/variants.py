"""Standing arms of one ModelDeployment: `spec.variants`. Each is the spec above, with changes."""

from typing import Annotated, Final

from pydantic import ConfigDict, Field

from modelfleet_contract import ModelSource, Shared
from modelfleet_operator.api.model import MODEL
from modelfleet_operator.api.pod import Resources
from modelfleet_operator.api.routing import VariantName
from modelfleet_operator.api.rules import BRIEF, rule, rules
from modelfleet_operator.api.sizes import Accelerator, Autoscaling

MOST: Final = 8


class Variant(Shared):
    """One arm. What it leaves out is as the spec above says; what it gives replaces that as a
    whole."""

    model_config = ConfigDict(
        json_schema_extra=rules(
            rule(
                "!(has(self.replicas) && has(self.autoscaling))",
                "replicas and autoscaling exclude each other: take one of them out.",
                ".replicas",
            ),
            rule(
                "!has(self.replicas) || self.replicas > 0 || self.weight == 0",
                "nobody would answer its share: write weight 0 with replicas 0.",
                ".replicas",
            ),
        )
    )

    name: VariantName
    """What it is called, in the status, in metrics and in routing.matches. The one that is called
    default goes on with the pods that served before there were variants."""

    weight: int = Field(default=0, ge=0, le=100)
    """Its share of the traffic, in percent; all of them sum to 100. With 0 it gets what
    routing.matches and routing.mirror send to it. Default 0."""

    model: Annotated[ModelSource | None, Field(json_schema_extra=BRIEF | MODEL)] = None
    """Its model, as in spec.model, whole."""

    replicas: int | None = Field(default=None, ge=0, le=1000)
    """How many pods serve its share."""

    autoscaling: Annotated[Autoscaling | None, Field(json_schema_extra=BRIEF)] = None
    """How the number of its pods follows the load, as in spec.autoscaling."""

    resources: Annotated[Resources | None, Field(json_schema_extra=BRIEF)] = None
    """CPU and memory of each of its pods, as in spec.resources."""

    accelerator: Annotated[Accelerator | None, Field(json_schema_extra=BRIEF)] = None
    """The accelerators of each of its pods, as in spec.accelerator."""
