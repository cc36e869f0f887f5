"""Which Gateway leads to the models: `spec.routing.gateway`."""

from typing import Annotated

from pydantic import ConfigDict, Field

from modelfleet_contract import Shared
from modelfleet_operator.api.rules import SET, rule, rules

# Without shapes of their own: the CRD has a limit of size. Of a wrong name it is said that there
# is no such Gateway or listener, and of a wrong host what the API server says of the HTTPRoute.
Name = Annotated[str, Field(min_length=1, max_length=253)]


class Gateway(Shared):
    """The Gateway of mode Gateway."""

    # The Gateway API lets a listener have either an HTTPRoute or a GRPCRoute for the same host.
    model_config = ConfigDict(
        json_schema_extra=rules(
            rule(
                "!has(self.grpcSectionName) || "
                "(has(self.sectionName) && self.sectionName != self.grpcSectionName)",
                "a listener is for HTTP or for gRPC: write another one in sectionName.",
                ".grpcSectionName",
            )
        )
    )

    name: Name
    """Its name."""

    namespace: Name | None = None
    """Its namespace. Default: the same."""

    section_name: Name | None = None
    """Its listener. Default: any."""

    grpc_section_name: Name | None = None
    """Its listener for gRPC. Default: none."""

    hostnames: tuple[Name, ...] = Field(default=(), max_length=16, json_schema_extra=SET)
    """The hosts that callers name. Default: any."""
