"""How requests reach the revisions: `spec.routing`."""

from enum import StrEnum
from typing import Annotated

from pydantic import ConfigDict, Field

from modelfleet_contract import Shared
from modelfleet_operator.api.pod import ObjectName
from modelfleet_operator.api.rules import SET, rule, rules

HEADER_PATTERN = r"^[A-Za-z0-9][-A-Za-z0-9_]*$"
COOKIE_PATTERN = r"^[A-Za-z0-9][-A-Za-z0-9_]*$"
HOSTNAME_PATTERN = r"^(\*\.)?[a-z0-9]([-a-z0-9]*[a-z0-9])?(\.[a-z0-9]([-a-z0-9]*[a-z0-9])?)*$"


class RoutingMode(StrEnum):
    """What stands between the address and the pods."""

    DIRECT = "Direct"
    """Nothing: the address is a plain Service, and selects one revision."""
    ROUTER = "Router"
    """A pair of Envoy pods, which the ModelDeployments of a namespace share. It splits the traffic,
    and finds replaced pods by itself."""
    GATEWAY = "Gateway"
    """A Gateway of the cluster (Gateway API) splits what comes to it; the address is as with
    Direct."""


class Retries(StrEnum):
    """Which failed requests a router sends again, to another pod."""

    SAFE = "Safe"
    """Those of which no pod has seen anything."""
    IDEMPOTENT = "Idempotent"
    """These, and those whose connection broke before an answer: a model may compute them twice."""


class Sticky(Shared):
    """What makes two requests those of one caller."""

    model_config = ConfigDict(
        json_schema_extra=rules(
            rule(
                "has(self.header) != has(self.cookie)",
                "write either header, the request header that names the caller, or cookie, the "
                "name of a cookie that the router gives to callers.",
            )
        )
    )

    header: str | None = Field(
        default=None,
        min_length=1,
        max_length=128,
        json_schema_extra=rules(
            rule(
                f"self.matches(r'{HEADER_PATTERN}')",
                "write the name of a header, like x-user-id.",
            )
        ),
    )
    """A request header that names the caller, such as x-user-id."""

    cookie: str | None = Field(
        default=None,
        min_length=1,
        max_length=128,
        json_schema_extra=rules(
            rule(
                f"self.matches(r'{COOKIE_PATTERN}')",
                "write the name of a cookie, in letters, digits, - and _.",
            )
        ),
    )
    """The name of a cookie. A caller without it is given one."""


Hostname = Annotated[
    str,
    Field(
        min_length=1,
        max_length=253,
        json_schema_extra=rules(
            rule(
                f"self.matches(r'{HOSTNAME_PATTERN}')",
                "write a host's name in lower-case letters, digits, - and ., like "
                "models.example.com or *.example.com.",
            )
        ),
    ),
]
SectionName = Annotated[str, Field(min_length=1, max_length=253)]


class Gateway(Shared):
    """The Gateway that takes the requests."""

    # The Gateway API lets a listener have either an HTTPRoute or a GRPCRoute for the same host.
    model_config = ConfigDict(
        json_schema_extra=rules(
            rule(
                "!has(self.grpcSectionName) || "
                "(has(self.sectionName) && self.sectionName != self.grpcSectionName)",
                "the Gateway API keeps gRPC apart from HTTP: write sectionName too, another "
                "listener of the Gateway.",
                ".grpcSectionName",
            )
        )
    )

    name: ObjectName
    """Its name."""

    namespace: ObjectName | None = None
    """Where it is; it has to allow routes from here. Default: the same namespace."""

    section_name: SectionName | None = None
    """The listener. Default: any that takes the route."""

    grpc_section_name: SectionName | None = None
    """The listener for gRPC. Default: gRPC does not come in there."""

    hostnames: tuple[Hostname, ...] = Field(default=(), max_length=16, json_schema_extra=SET)
    """The hosts that callers name. Default: all that the listener takes."""


class Routing(Shared):
    """How requests reach the revisions."""

    model_config = ConfigDict(
        json_schema_extra=rules(
            rule(
                "self.mode == 'Router' || !has(self.sticky)",
                "sticky has no effect without a router: write mode: Router, or leave sticky out.",
                ".sticky",
            ),
            rule(
                "self.mode == 'Router' || self.retries == 'Safe'",
                "retries has no effect without a router: write mode: Router, or leave retries out.",
                ".retries",
            ),
            rule(
                "(self.mode == 'Gateway') == has(self.gateway)",
                "mode: Gateway and gateway (at least its name) go together: write both, or leave "
                "both out.",
                ".gateway",
            ),
        )
    )

    mode: RoutingMode = RoutingMode.DIRECT
    """Direct: the address is a plain Service, and all traffic moves at once. Router: a pair of
    Envoy pods in the namespace splits the traffic, as a progressive rollout needs it.
    Default Direct."""

    gateway: Gateway | None = None
    """The Gateway of mode Gateway."""

    sticky: Sticky | None = None
    """Keep each caller on the revision that it had, while weights move. Default: each request is
    drawn anew."""

    retries: Retries = Retries.SAFE
    """Safe: a request is sent to another pod only when no pod has seen it. Idempotent: also when
    the connection broke before an answer; then a model may compute it twice. Default Safe."""
