"""Which revision answers a request? The routes of one site, in the order in which they are tried.

The version of the routing, then the matches in their order, then everybody. Each of these is a
route for gRPC and one for the rest, and where callers stick, one for those who can not be told
apart (yet).
"""

import hashlib
import json
import re
from collections.abc import Iterator
from typing import Final

from modelfleet_operator.router import names
from modelfleet_operator.router.names import ClusterName, Json
from modelfleet_operator.router.site import (
    WHOLE,
    Arm,
    Intervals,
    Match,
    Mirror,
    Protocol,
    Retries,
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
            {
                "header": {"key": "content-type", "value": "application/json"},
                "append_action": "OVERWRITE_IF_EXISTS_OR_ADD",
            }
        ],
    }


def _routes(site: Site) -> Iterator[Json]:
    for match in (*site.matches, Match(to=site.intervals)):
        where: Json = {"prefix": match.path_prefix}
        headers = [
            {"name": header.name, "string_match": {"exact": header.value}}
            for header in match.headers
        ]
        for who, extra in _callers(site, match):
            condition = {**where, **_not_empty(headers=headers + who)}
            if any(arm.grpc_port is not None for arm in site.arms):
                grpc = {**condition, "grpc": {}}
                yield {"match": grpc, **_target(site, match.to, Protocol.GRPC, extra)}
            yield {"match": condition, **_target(site, match.to, Protocol.HTTP, extra)}


_Callers = Iterator[tuple[list[Json], Json]]
"""Further header matches, and what the route then has beside its target."""


def _callers(site: Site, match: Match) -> _Callers:
    if len({each.revision for each in match.to if each.parts}) == 1:
        yield [], {}
        return
    match site.sticky:
        case None:
            yield [], {}
        case StickyHeader(name):
            # An empty value has a hash like any other: all of those would be on one arm.
            yield [{"name": name, "string_match": {"exact": ""}}], {}
            yield [], {"hash_policy": [{"header": {"header_name": name}}]}
        case StickyCookie(name, max_age_s):
            known = {
                "name": "cookie",
                "string_match": {"safe_regex": {"regex": f"(.*; *)?{re.escape(name)}=[^;]+.*"}},
            }
            yield [known], {"hash_policy": [{"cookie": {"name": name}}]}
            yield [], _given_cookie(name, max_age_s)


def _given_cookie(name: str, max_age_s: int) -> Json:
    """The arm of a new caller is that of the cookie with which it will come back."""
    value = (
        f"{name}=%REQ({names.DRAW_HEADER})%; Path=/; Max-Age={max_age_s}; HttpOnly; SameSite=Lax"
    )
    return {
        "hash_policy": [{"header": {"header_name": names.DRAW_HEADER}}],
        "response_headers_to_add": [
            {
                "header": {"key": "set-cookie", "value": value},
                "append_action": "APPEND_IF_EXISTS_OR_ADD",
            }
        ],
    }


def _target(site: Site, to: Intervals, protocol: Protocol, extra: Json) -> Json:
    arms = {arm.revision: arm for arm in site.arms}
    # Its value is still read for the answer where a cookie is given.
    removed = [] if "response_headers_to_add" in extra else [names.DRAW_HEADER]
    beside = {key: value for key, value in extra.items() if key != "hash_policy"}
    route: Json = {
        **_split(site, arms, to, protocol, "hash_policy" in extra),
        **({"hash_policy": extra["hash_policy"]} if "hash_policy" in extra else {}),
        # A stream may last; what counts is silence.
        "timeout": "0s",
    }
    mirrors = [_mirror(site, arms, mirror, protocol) for mirror in site.mirrors if mirror.parts]
    if mirrors:
        route["request_mirror_policies"] = mirrors
    return {"route": route, **_not_empty(request_headers_to_remove=removed), **beside}


def _split(
    site: Site, arms: dict[str, Arm], to: Intervals, protocol: Protocol, sticky: bool
) -> Json:
    """The intervals stay in their order: it is what keeps a sticky caller where it is."""
    weighted: Json = {
        "clusters": [
            {"name": cluster_of(site, arms.get(each.revision), each.revision, protocol),
             "weight": each.parts}
            for each in to
            if each.parts
        ]
    }  # fmt: skip
    if sticky:
        weighted["use_hash_policy"] = True
    return {"weighted_clusters": weighted}


def cluster_of(site: Site, arm: Arm | None, revision: str, protocol: Protocol) -> str:
    """A revision without gRPC gets its share of the calls, and answers them as it can."""
    if protocol is Protocol.GRPC and arm is not None and arm.grpc_port is None:
        protocol = Protocol.HTTP
    return str(ClusterName(site.name, revision, protocol))


def _mirror(site: Site, arms: dict[str, Arm], mirror: Mirror, protocol: Protocol) -> Json:
    return {
        "cluster": cluster_of(site, arms.get(mirror.revision), mirror.revision, protocol),
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


def _not_empty(**fields: list[Json] | list[str]) -> Json:
    return {key: value for key, value in fields.items() if value}


assert WHOLE == 10_000, "the mirrors' denominator"
