"""What each pod gets and how many there are: accelerators and autoscaling."""

from enum import StrEnum
from typing import Annotated

from pydantic import ConfigDict, Field

from modelfleet_contract import Shared
from modelfleet_operator.api.rules import (
    NODE_LABEL_PATTERN,
    RESOURCE_NAME_PATTERN,
    SET,
    map_by,
    rule,
    rules,
)


class Accelerator(Shared):
    """The accelerators of each pod."""

    model_config = ConfigDict(
        json_schema_extra=rules(
            rule(
                "self.productLabel == 'nvidia.com/gpu.product' || "
                "(has(self.products) && self.products.size() > 0)",
                "productLabel has no effect without products: name the products that will do, "
                "or leave productLabel out.",
                ".productLabel",
            ),
            rule(
                "!has(self.products) || self.products.size() == 0 || "
                "self.resourceName.startsWith('nvidia.com/') || "
                "self.productLabel != 'nvidia.com/gpu.product'",
                "products are looked for in an NVIDIA label, and resourceName is another vendor's: "
                "write in productLabel which node label names the product.",
                ".products",
            ),
        )
    )

    resource_name: str = Field(
        default="nvidia.com/gpu", pattern=RESOURCE_NAME_PATTERN, max_length=253
    )
    """The extended resource: nvidia.com/gpu, a MIG profile such as nvidia.com/mig-1g.10gb, or
    another vendor's. Default nvidia.com/gpu."""

    count: int = Field(default=1, ge=1, le=64)
    """How many each pod gets. Default 1."""

    products: tuple[Annotated[str, Field(min_length=1, max_length=63)], ...] = Field(
        default=(), max_length=32, json_schema_extra=SET
    )
    """The models of accelerator that will do, as the node's product label names them (such as
    NVIDIA-L4). Default: any."""

    product_label: str = Field(
        default="nvidia.com/gpu.product", pattern=NODE_LABEL_PATTERN, max_length=317
    )
    """The node label that names the product. Default nvidia.com/gpu.product, which NVIDIA's
    feature discovery sets."""


class MetricType(StrEnum):
    """What an autoscaler looks at."""

    CPU = "CPU"
    """Average CPU use of the pods, in percent of what they request."""


class ScalingMetric(Shared):
    """One figure that the autoscaler holds near a target."""

    type: MetricType
    """What to look at."""

    target: int = Field(ge=1, le=100000)
    """The value to hold."""


class Autoscaling(Shared):
    """How the number of pods follows the load."""

    model_config = ConfigDict(
        json_schema_extra=rules(
            rule(
                "self.minReplicas <= self.maxReplicas",
                "minReplicas is above maxReplicas: lower the one or raise the other.",
                ".minReplicas",
            )
        )
    )

    min_replicas: int = Field(default=1, ge=1, le=1000)
    """The fewest pods. Default 1."""

    max_replicas: int = Field(ge=1, le=1000)
    """The most pods."""

    metrics: tuple[ScalingMetric, ...] = Field(
        default=(ScalingMetric(type=MetricType.CPU, target=80),),
        min_length=1,
        max_length=4,
        json_schema_extra=map_by("type"),
    )
    """What to look at. Default: CPU at 80 percent."""
