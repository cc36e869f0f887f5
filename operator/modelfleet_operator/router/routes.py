"""Which revision answers a request? The routes of one site, in the order in which they are tried.

The version of the routing, then the matches in their order, then everybody. Each of these is a
route for gRPC and one for the rest, and where callers stick, one for those who can not be told
apart (yet).
"""

import hashlib
import json
import re
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Final

from modelfleet_contract import CALLER_HEADER
from modelfleet_operator.api.routing import Retries
from modelfleet_operator.kinds import Json
from modelfleet_operator.router import names
from modelfleet_operator.router.names import ClusterName
from modelfleet_operator.router.site import (
    Intervals,
    Match,
    Mirror,
    Protocol,
    Site,
    StickyCookie,
    StickyHeader,
)

_SAFE: Final = "connect-failure,refused-stream,reset-before-request"
_RETRY_ON: Final = {Retries.SAFE: _SAFE, Retries.IDEMPOTENT: f"{_SAFE},reset"}

_SILENCE_S: Final = 5.0
"""Beyond the runtime's own limit: it should be the runtime that answers."""


def virtual_host(site: Site) -> Json:
    """All of a site's routing."""
    return {
        "name": site.name,
        "domains": [site.name],
        "request_body_buffer_limit": site.retry_body_bytes,
        "request_headers_to_remove": [names.SITE_HEADER],
        "retry_policy": _retry_policy(site),
        "routes": [
            says(
                names.CONFIG_PATH,
                {
                    "deployment": site.name,
                    "version": version(site),
                    "weights": weights(site.intervals),
                },
            ),
            *_routes(site),
        ],
    }


def said_by(host: Json) -> Json:
    """What a site's virtual host answers when it is asked what it serves."""
    said: Json = json.loads(host["routes"][0]["direct_response"]["body"]["inline_string"])
    return said


def version(site: Site) -> str:
    """GENERATION-DIGEST: two versions are the same when all routes are."""
    content = [site.retry_body_bytes, _retry_policy(site), *_routes(site)]
    text = json.dumps(content, separators=(",", ":"), sort_keys=True)
    return f"{site.generation}-{hashlib.sha256(text.encode()).hexdigest()[:10]}"


def weights(intervals: Intervals) -> dict[str, int]:
    """Parts of 10000 by revision."""
    total: dict[str, int] = {}
    for each in intervals:
        total[each.revision] = total.get(each.revision, 0) + each.parts
    return total


def says(path: str, body: Json) -> Json:
    """A route that answers by itself."""
    text = json.dumps(body, separators=(",", ":"))
    return {
        "match": {"path": path},
        "direct_response": {"status": 200, "body": {"inline_string": text}},
        "response_headers_to_add": [
            _header("content-type", "application/json", "OVERWRITE_IF_EXISTS_OR_ADD")
        ],
    }


def _routes(site: Site) -> Iterator[Json]:
    with_grpc = any(arm.grpc_port is not None for arm in site.arms)
    for match in (*site.matches, Match(to=site.intervals)):
        headers = [
            {"name": header.name, "string_match": {"exact": header.value}}
            for header in match.headers
        ]
        for callers in _callers(site, match):
            condition: Json = {"prefix": match.path_prefix}
            if told_apart := [*headers, *callers.told_by]:
                condition["headers"] = told_apart
            if with_grpc:
                target = _target(site, match.to, callers, Protocol.GRPC)
                yield {"match": {**condition, "grpc": {}}, **target}
            yield {"match": condition, **_target(site, match.to, callers, Protocol.HTTP)}


@dataclass(frozen=True, slots=True)
class _Callers:
    """Some of those whom a match takes."""

    told_by: tuple[Json, ...] = ()
    """Conditions on their headers, beside the match's own."""
    hashed_by: Json | None = None
    """From what their place is computed; None: chance decides."""
    given: Json | None = None
    """A header of the answer."""


def _callers(site: Site, match: Match) -> Iterator[_Callers]:
    if len({each.revision for each in match.to if each.parts}) == 1:
        yield _Callers()
        return
    match site.sticky:
        case None:
            yield _Callers()
        case StickyHeader(name):
            # An empty value has a hash like any other: all of those would be on one arm.
            yield _Callers(told_by=({"name": name, "string_match": {"exact": ""}},))
            yield _Callers(hashed_by={"header": {"header_name": name}})
        case StickyCookie(name, max_age_s):
            there = {"safe_regex": {"regex": f"(.*; *)?{re.escape(name)}=[^;]+.*"}}
            yield _Callers(
                told_by=({"name": "cookie", "string_match": there},),
                hashed_by={"cookie": {"name": name}},
            )
            # The arm of a new caller is that of the cookie with which it will come back.
            yield _Callers(
                hashed_by={"header": {"header_name": names.DRAW_HEADER}},
                given=_cookie(name, max_age_s),
            )


def _cookie(name: str, max_age_s: int) -> Json:
    value = (
        f"{name}=%REQ({names.DRAW_HEADER})%; Path=/; Max-Age={max_age_s}; HttpOnly; SameSite=Lax"
    )
    return _header("set-cookie", value, "APPEND_IF_EXISTS_OR_ADD")


def _header(key: str, value: str, action: str) -> Json:
    return {"header": {"key": key, "value": value}, "append_action": action}


def _target(site: Site, to: Intervals, callers: _Callers, protocol: Protocol) -> Json:
    weighted: Json = {"clusters": _weighted(site, to, protocol)}
    # A stream may last; what counts is silence, and that is in the retry policy.
    route: Json = {"weighted_clusters": weighted, "timeout": "0s"}
    if callers.hashed_by is not None:
        weighted["use_hash_policy"] = True
        route["hash_policy"] = [callers.hashed_by]
    if mirrors := [_mirror(site, mirror, protocol) for mirror in site.mirrors if mirror.parts]:
        route["request_mirror_policies"] = mirrors
    # Nobody but the router says who asks.
    made: Json = {"route": route, "request_headers_to_remove": [CALLER_HEADER]}
    if isinstance(site.sticky, StickyHeader):
        who = _header(CALLER_HEADER, f"%REQ({site.sticky.name})%", "OVERWRITE_IF_EXISTS_OR_ADD")
        made["request_headers_to_add"] = [who]
    if callers.given is not None:  # its value is read from the request when the answer comes
        return {**made, "response_headers_to_add": [callers.given]}
    made["request_headers_to_remove"] = [CALLER_HEADER, names.DRAW_HEADER]
    return made


def _weighted(site: Site, to: Intervals, protocol: Protocol) -> list[Json]:
    """In their order: it is what keeps a sticky caller where it is."""
    return [
        {"name": _cluster(site, each.revision, protocol), "weight": each.parts}
        for each in to
        if each.parts
    ]


def _cluster(site: Site, revision: str, protocol: Protocol) -> str:
    """A revision without gRPC gets its share of the calls, and answers them as it can."""
    if protocol is Protocol.GRPC and all(
        arm.grpc_port is None for arm in site.arms if arm.revision == revision
    ):
        protocol = Protocol.HTTP
    return str(ClusterName(site.name, revision, protocol))


def _mirror(site: Site, mirror: Mirror, protocol: Protocol) -> Json:
    return {
        "cluster": _cluster(site, mirror.revision, protocol),
        "runtime_fraction": {
            "default_value": {"numerator": mirror.parts, "denominator": "TEN_THOUSAND"}
        },
        "trace_sampled": False,
        "disable_shadow_host_suffix_append": True,
    }


def _retry_policy(site: Site) -> Json:
    return {
        "retry_on": _RETRY_ON[site.retries],
        # With the pauses between them more than a second: by then a check has found who is dead.
        "num_retries": 10,
        "per_try_idle_timeout": f"{site.timeout_s + _SILENCE_S:g}s",
        # A dead pod has the fewest outstanding requests, so it is drawn again and again.
        "host_selection_retry_max_attempts": 30,
        "retry_host_predicate": [
            {
                "name": "envoy.retry_host_predicates.previous_hosts",
                "typed_config": {
                    "@type": "type.googleapis.com/"
                    "envoy.extensions.retry.host.previous_hosts.v3.PreviousHostsPredicate"
                },
            }
        ],
        "retry_back_off": {"base_interval": "0.025s", "max_interval": "0.25s"},
    }
