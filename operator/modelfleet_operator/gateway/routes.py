"""What a Gateway is told of one ModelDeployment: as much of its `Site` as a Gateway can serve.

The site is the same that our own routers would be told, so whatever decides on weights need not
know who serves them.
"""

from collections.abc import Mapping
from dataclasses import dataclass

from modelfleet_operator.api.gateway import Gateway
from modelfleet_operator.router.routes import weights
from modelfleet_operator.router.site import HeaderMatch, Mirror, Site


@dataclass(frozen=True, slots=True)
class Parent:
    """A Gateway, or one listener of it."""

    name: str
    namespace: str
    section: str | None = None
    """None: every listener that takes the route."""

    def __str__(self) -> str:
        listener = "" if self.section is None else f", listener {self.section}"
        return f"Gateway {self.namespace}/{self.name}{listener}"


@dataclass(frozen=True, slots=True)
class Rule:
    """Requests with all of these headers and such a path are split so."""

    weights: Mapping[str, int]
    """Parts of 10000 by revision. One with 0 is made known: a Gateway needs a moment before it can
    reach pods that it has not heard of."""
    headers: tuple[HeaderMatch, ...] = ()
    path_prefix: str = "/"


@dataclass(frozen=True, slots=True)
class Routes:
    """The routing of one ModelDeployment."""

    http: Parent
    grpc: Parent | None
    """None: no gRPC comes in there."""
    hostnames: tuple[str, ...]
    rules: tuple[Rule, ...]
    """The last takes what no other takes. Where a request fits several, the Gateway API chooses the
    one with the longest path, then the one with the most headers, then the first."""
    mirrors: tuple[Mirror, ...] = ()
    speaking_grpc: frozenset[str] = frozenset()
    """The revisions that do."""
    timeout_s: float = 30.0
    """The runtime's own limit for a request."""

    @property
    def split(self) -> Mapping[str, int]:
        """Of what no match takes."""
        return self.rules[-1].weights


def of_site(site: Site, gateway: Gateway, namespace: str) -> Routes:
    """`namespace`: the resource's own."""
    place = gateway.namespace or namespace
    known = {arm.revision: 0 for arm in site.arms if arm.revision not in site.only_mirrored}
    matched = tuple(Rule(weights(each.to), each.headers, each.path_prefix) for each in site.matches)
    return Routes(
        http=Parent(gateway.name, place, gateway.section_name),
        grpc=Parent(gateway.name, place, gateway.grpc_section_name)
        if gateway.grpc_section_name
        else None,
        hostnames=gateway.hostnames,
        rules=(*matched, Rule(known | weights(site.intervals))),
        mirrors=tuple(each for each in site.mirrors if each.parts),
        speaking_grpc=frozenset(arm.revision for arm in site.arms if arm.grpc_port is not None),
        timeout_s=site.timeout_s,
    )
