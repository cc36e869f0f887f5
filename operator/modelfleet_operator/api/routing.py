"""How requests reach the revisions: `spec.routing`."""

from enum import StrEnum
from typing import Annotated

from pydantic import ConfigDict, Field

from modelfleet_contract import Shared
from modelfleet_operator.api.gateway import Gateway
from modelfleet_operator.api.rules import ATOMIC, map_by, rule, rules

VARIANT_PATTERN = r"^[a-z]([-a-z0-9]*[a-z0-9])?$"
HEADER_PATTERN = r"^[A-Za-z0-9][-A-Za-z0-9_]*$"
COOKIE_PATTERN = r"^[A-Za-z0-9][-A-Za-z0-9_]*$"


VariantName = Annotated[
    str,
    Field(
        min_length=1,
        max_length=20,
        json_schema_extra=rules(
            rule(
                f"self.matches(r'{VARIANT_PATTERN}')",
                "write a variant's name in lower-case letters, digits and -, beginning with a "
                "letter.",
            )
        ),
    ),
]


class RoutingMode(StrEnum):
    """What stands between the address and the pods."""

    DIRECT = "Direct"
    """Nothing: the address is a plain Service, and selects one revision."""
    ROUTER = "Router"
    """A pair of Envoy pods, which the ModelDeployments of a namespace share. It splits the traffic,
    and finds replaced pods by itself."""
    GATEWAY = "Gateway"
    """A Gateway of the cluster (Gateway API) splits what comes to it."""


class RouterPair(StrEnum):
    """Which routers."""

    SHARED = "Shared"
    """Those of the namespace, with the other ModelDeployments in it."""
    DEDICATED = "Dedicated"
    """Two of its own."""


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


class HeaderMatch(Shared):
    """A request header with exactly this value."""

    name: str = Field(
        min_length=1,
        max_length=128,
        json_schema_extra=rules(
            rule(
                f"self.matches(r'{HEADER_PATTERN}')",
                "write the name of a header, like x-variant.",
            )
        ),
    )
    """The header's name; upper and lower case are the same."""

    value: str = Field(
        max_length=256,
        json_schema_extra=rules(
            rule(r"self.matches(r'^[ -~]*$')", "write printable ASCII characters.")
        ),
    )
    """What it has to say, in full."""


class Match(Shared):
    """Some requests, and the variant that answers them."""

    model_config = ConfigDict(
        json_schema_extra=rules(
            rule(
                "has(self.headers) && self.headers.size() > 0 || self.path != '/'",
                "this would take every request: write headers or a path.",
            )
        )
    )

    headers: tuple[HeaderMatch, ...] = Field(
        default=(), max_length=4, json_schema_extra=map_by("name")
    )
    """The request has all of these."""

    path: str = Field(
        default="/",
        min_length=1,
        max_length=256,
        json_schema_extra=rules(
            rule(r"self.matches(r'^/[!-~]*$')", "write how the path begins, like /v2/models.")
        ),
    )
    """How the path begins. Default /, which is every path."""

    variant: VariantName
    """Which variant answers."""


class Mirror(Shared):
    """Copies of requests for a variant, whose answers nobody gets."""

    variant: VariantName
    """Who gets them: a variant with the weight 0."""

    percent: int = Field(default=100, ge=1, le=100)
    """How many of all requests are copied. Default 100."""


class Routing(Shared):
    """How requests reach the revisions."""

    model_config = ConfigDict(
        json_schema_extra=rules(
            # The earlier hides the later where all that it asks for, the later asks for too.
            rule(
                "!has(self.matches) || self.matches.all(a, self.matches.all(b, "
                "self.matches.indexOf(a) >= self.matches.indexOf(b) || "
                "!b.path.startsWith(a.path) || (has(a.headers) && a.headers.exists(h, "
                "!has(b.headers) || !b.headers.exists(g, "
                "g.name.lowerAscii() == h.name.lowerAscii() && g.value == h.value)))))",
                "a match hides a later one, which no request would reach: write the narrower one "
                "first, or take it out.",
                ".matches",
            ),
            rule(
                "!has(self.matches) || self.matches.all(a, self.matches.exists_one(b, b == a))",
                "the same match stands twice: take one out.",
                ".matches",
            ),
            rule(
                "self.mode == 'Router' || self.router == 'Shared'",
                "router has no effect without one: write mode: Router, or leave router out.",
                ".router",
            ),
            rule(
                "self.mode != 'Router' || oldSelf.mode != 'Router' || "
                "self.router == oldSelf.router",
                "callers cannot be moved from one pair of routers to another without losing some: "
                "write mode: Direct first, and when that is served, the other router.",
                ".router",
            ),
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
                "mode: Gateway and gateway go together: write both, or none.",
                ".gateway",
            ),
        )
    )

    mode: RoutingMode = RoutingMode.DIRECT
    """Direct: the address is a plain Service, and all traffic moves at once. Router: a pair of
    Envoy pods in the namespace splits the traffic, as a progressive rollout needs it. Default
    Direct."""

    gateway: Gateway | None = None
    """The Gateway of mode Gateway."""

    router: RouterPair = RouterPair.SHARED
    """Shared: the routers of the namespace. Dedicated: two of its own, some 70 MiB each, which no
    neighbour's load or configuration reaches. Default Shared."""

    sticky: Sticky | None = None
    """Keep each caller on the revision that it had, while weights move. Default: each request is
    drawn anew."""

    matches: tuple[Match, ...] = Field(default=(), max_length=8, json_schema_extra=ATOMIC)
    """Requests that go to one variant, whatever its weight. The first that fits decides."""

    mirror: tuple[Mirror, ...] = Field(
        default=(), max_length=4, json_schema_extra=map_by("variant")
    )
    """Variants that get copies of requests and answer nobody: shadows."""

    retries: Retries = Retries.SAFE
    """Safe: a request is sent to another pod only when no pod has seen it. Idempotent: also when
    the connection broke before an answer; then a model may compute it twice. Default Safe."""
