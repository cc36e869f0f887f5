"""Routes -> the `spec` of an HTTPRoute and of a GRPCRoute (gateway.networking.k8s.io/v1), with
nothing that the standard channel does not have.

The backends are the headless Services of the revisions, one each, which no shift ever changes.
Every implementation has to reach such: it is in the core of the conformance tests
(HTTPRouteServiceTypes).
"""

import math
from collections.abc import Mapping
from typing import Final

from modelfleet_contract import GRPC_PORT, HTTP_PORT
from modelfleet_operator import kinds
from modelfleet_operator.gateway.routes import Parent, Routes
from modelfleet_operator.kinds import Json
from modelfleet_operator.router.site import WHOLE, HeaderMatch, Mirror

MOST_BACKENDS: Final = 16
"""That a rule may name."""
_BEYOND_S: Final = 5
"""Beyond the runtime's own limit: it should be the runtime that answers."""


def http(routes: Routes) -> Json:
    """Where nothing is said, a Gateway ends a request after a time of its own choice (15 s with
    Envoy Gateway), hence the timeout."""
    timeout = f"{math.ceil(routes.timeout_s) + _BEYOND_S}s"
    return _attached(routes, routes.http) | {
        "rules": [
            {
                "matches": [
                    {
                        "path": {"type": "PathPrefix", "value": rule.path_prefix},
                        **_headers(rule.headers),
                    }
                ],
                "backendRefs": _backends(rule.weights, HTTP_PORT),
                **_filters(routes.mirrors, HTTP_PORT),
                "timeouts": {"request": timeout},
            }
            for rule in routes.rules
        ]
    }


def grpc(routes: Routes) -> Json | None:
    """None where none comes in, or nobody speaks it. A path says nothing there, so a rule for one
    is left out."""
    rules = [
        {
            **({"matches": [_headers(rule.headers)]} if rule.headers else {}),
            "backendRefs": _backends(of_grpc(routes, rule.weights), GRPC_PORT),
            **_filters(_speaking(routes), GRPC_PORT),
        }
        for rule in routes.rules
        if rule.path_prefix == "/" and of_grpc(routes, rule.weights)
    ]
    if routes.grpc is None or not rules:
        return None
    return _attached(routes, routes.grpc) | {"rules": rules}


def of_grpc(routes: Routes, weights: Mapping[str, int]) -> Mapping[str, int]:
    """Of those that speak it."""
    return {name: parts for name, parts in weights.items() if name in routes.speaking_grpc}


def _speaking(routes: Routes) -> tuple[Mirror, ...]:
    return tuple(each for each in routes.mirrors if each.revision in routes.speaking_grpc)


def _attached(routes: Routes, parent: Parent) -> Json:
    reference = {
        "group": kinds.GATEWAY.group,
        "kind": "Gateway",
        "name": parent.name,
        "namespace": parent.namespace,
    }
    if parent.section is not None:
        reference["sectionName"] = parent.section
    hosts = {"hostnames": list(routes.hostnames)} if routes.hostnames else {}
    return {"parentRefs": [reference], **hosts}


def _headers(headers: tuple[HeaderMatch, ...]) -> Json:
    if not headers:
        return {}
    return {
        "headers": [{"type": "Exact", "name": each.name, "value": each.value} for each in headers]
    }


def _backends(weights: Mapping[str, int], port: int) -> list[Json]:
    # Where there are too many, those that are only made known have to wait. In an order that no
    # shift changes: a shift is a change of numbers, and nothing else.
    named = sorted(weights, key=lambda name: (weights[name] == 0, name))[:MOST_BACKENDS]
    return [{**_service(name, port), "weight": weights[name]} for name in sorted(named)]


def _service(revision: str, port: int) -> Json:
    return {"group": "", "kind": "Service", "name": revision, "port": port}


def _filters(mirrors: tuple[Mirror, ...], port: int) -> Json:
    if not mirrors:
        return {}
    return {"filters": [_mirror(each, port) for each in mirrors]}


def _mirror(mirror: Mirror, port: int) -> Json:
    copies: Json = {"backendRef": _service(mirror.revision, port)}
    if mirror.parts != WHOLE:
        copies["fraction"] = {"numerator": mirror.parts, "denominator": WHOLE}
    return {"type": "RequestMirror", "requestMirror": copies}
