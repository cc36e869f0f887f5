"""The pair of routers as objects of the cluster.

Two ConfigMaps: the bootstrap, immutable and named after its content, so that another one rolls the
pods; and the sites, which Envoy reads again whenever they change. Envoy does not start without its
files, so both are made before the Deployment.
"""

import hashlib
import json
import math
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Final

from modelfleet_contract import GRPC_PORT, GRPC_PORT_NAME, HTTP_PORT_NAME
from modelfleet_operator import kinds
from modelfleet_operator.api import labels
from modelfleet_operator.kinds import Json, Kind
from modelfleet_operator.router import names
from modelfleet_operator.router.bootstrap import LADDER_MS, Bounds, bootstrap
from modelfleet_operator.router.site import MIB, Site

NAME: Final = "modelfleet-router"
"""`app.kubernetes.io/name` of all that belongs to a pair."""
SHARED: Final = labels.SHARED_ROUTERS
CONTAINER: Final = "router"
DRAIN: Final = "/usr/local/bin/drain"
"""`drain.sh` in the image."""
USER: Final = 65532
PORT: Final = 80
"""On which callers ask for HTTP, at the stable Service."""

CONFIG_ANNOTATION: Final = f"{labels.GROUP}/router-config"
"""On the pods. A change of it makes the kubelet look at the ConfigMap at once: without it, a change
of weights takes up to a minute and a half. Never in the Deployment's template, which would roll."""

LISTENER_DRAIN_S: Final = 60
"""How long callers keep a connection to a listener that is gone."""
NOTICE_S: Final = 8
"""How long a router that goes still takes new callers: the time in which every node hears of it."""
_DRAINS_S: Final = (60, 300, 900, 3600)
_FAREWELL_S: Final = 10


@dataclass(frozen=True, slots=True)
class Routers:
    """One pair."""

    namespace: str
    image: str
    name: str = SHARED
    image_pull_policy: str = "IfNotPresent"
    image_pull_secrets: tuple[str, ...] = ()
    replicas: int = 2
    concurrency: int = 1
    """Threads that serve. Envoy's own default is one for each core of the node."""
    memory_mib: int = 256
    """The limit; three quarters of it are Envoy's heap."""
    address: str = names.ANY_IPV4
    """Where they listen; `names.ANY` where pods have IPv6 addresses. `Pair` needs the same."""
    latency_ms: tuple[float, ...] = LADDER_MS
    """Bounds of the latency buckets. One ladder for all, since another one rolls the routers: that
    a limit between two of its steps is broken is shown by the upper, that it is kept by the lower
    one."""
    drain_s: int = _DRAINS_S[0]
    """The longest that a router waits for open requests when it goes; see `drain_s`."""
    owner: Json | None = None
    """The owner reference of a pair that belongs to one ModelDeployment."""
    node_selector: Mapping[str, str] = field(default_factory=dict)
    tolerations: tuple[Json, ...] = ()
    priority_class_name: str = ""


def drain_s(sites: Iterable[Site]) -> int:
    """Long enough for the longest request of these sites. In few steps, since a router's pod is
    replaced when this changes."""
    needed = NOTICE_S + max((math.ceil(site.timeout_s) for site in sites), default=0)
    return next((step for step in _DRAINS_S if step >= needed), _DRAINS_S[-1])


def all_of(routers: Routers, data: Mapping[str, str]) -> tuple[Json, ...]:
    """In the order in which they are made. `data`: as `files.files` made it."""
    settings = bootstrap_config(routers)
    return (
        settings,
        sites_config(routers, data),
        deployment(routers, settings["metadata"]["name"]),
        disruption_budget(routers),
        service(routers),
    )


def bootstrap_config(routers: Routers) -> Json:
    bounds = Bounds(
        heap_bytes=routers.memory_mib * MIB * 3 // 4,
        latency_ms=routers.latency_ms,
        address=routers.address,
    )
    text = json.dumps(bootstrap(bounds), separators=(",", ":"), sort_keys=True)
    name = f"{routers.name}-bootstrap-{hashlib.sha256(text.encode()).hexdigest()[:10]}"
    body = {"immutable": True, "data": {names.BOOTSTRAP_FILE: text}}
    return _object(kinds.CONFIG_MAP, routers, name, body)


def sites_name(routers: Routers) -> str:
    """What the ConfigMap of the sites is called."""
    return f"{routers.name}-sites"


def sites_config(routers: Routers, data: Mapping[str, str]) -> Json:
    return _object(kinds.CONFIG_MAP, routers, sites_name(routers), {"data": dict(data)})


def deployment(routers: Routers, bootstrap_name: str) -> Json:
    selected = selector(routers.name)
    body = {
        "spec": {
            "replicas": routers.replicas,
            "revisionHistoryLimit": 0,
            "selector": {"matchLabels": selected},
            # Never fewer than there are: callers on kept connections notice each one that goes.
            "strategy": {"rollingUpdate": {"maxUnavailable": 0, "maxSurge": 1}},
            "template": {
                "metadata": {
                    "labels": _labels(routers),
                    "annotations": {
                        "prometheus.io/scrape": "true",
                        "prometheus.io/port": str(names.OPS_PORT),
                        "prometheus.io/path": "/stats/prometheus",
                    },
                },
                "spec": _pod(routers, bootstrap_name, selected),
            },
        }
    }
    return _object(kinds.DEPLOYMENT, routers, routers.name, body)


def disruption_budget(routers: Routers) -> Json:
    body = {
        "spec": {
            "maxUnavailable": 1,
            "selector": {"matchLabels": selector(routers.name)},
        }
    }
    return _object(kinds.DISRUPTION_BUDGET, routers, routers.name, body)


def service(routers: Routers) -> Json:
    """Names the routers one by one, for those who read their statistics."""
    port = {"name": "ops", "port": names.OPS_PORT, "targetPort": "ops", "protocol": "TCP"}
    body = {
        "spec": {
            "type": "ClusterIP",
            "clusterIP": "None",
            "publishNotReadyAddresses": True,
            "selector": selector(routers.name),
            "ports": [{**port, "appProtocol": "http"}],
        }
    }
    return _object(kinds.SERVICE, routers, routers.name, body)


def selector(name: str) -> dict[str, str]:
    """Finds the routers of one pair. The stable Service of each of its sites selects them."""
    return {"app.kubernetes.io/name": NAME, "app.kubernetes.io/instance": name}


def address_ports(site: Site) -> list[Json]:
    """Of a site's stable Service: the ports that callers know, to those of its listeners."""
    return [
        {
            "name": HTTP_PORT_NAME,
            "port": PORT,
            "targetPort": site.http_port,
            "protocol": "TCP",
            "appProtocol": "http",
        },
        {
            "name": GRPC_PORT_NAME,
            "port": GRPC_PORT,
            "targetPort": site.grpc_port,
            "protocol": "TCP",
            "appProtocol": "kubernetes.io/h2c",
        },
    ]


def _pod(routers: Routers, bootstrap_name: str, selected: dict[str, str]) -> Json:
    given: Json = {
        "imagePullSecrets": [{"name": name} for name in routers.image_pull_secrets],
        "nodeSelector": dict(routers.node_selector),
        "tolerations": list(routers.tolerations),
        "priorityClassName": routers.priority_class_name,
    }
    return {
        "automountServiceAccountToken": False,
        "enableServiceLinks": False,
        "terminationGracePeriodSeconds": routers.drain_s + _FAREWELL_S,
        "securityContext": {
            "runAsNonRoot": True,
            "runAsUser": USER,
            "runAsGroup": USER,
            "seccompProfile": {"type": "RuntimeDefault"},
        },
        "topologySpreadConstraints": [
            {
                "topologyKey": "kubernetes.io/hostname",
                "maxSkew": 1,
                "whenUnsatisfiable": "ScheduleAnyway",
                "labelSelector": {"matchLabels": selected},
            }
        ],
        "containers": [_container(routers)],
        "volumes": [
            {"name": "bootstrap", "configMap": {"name": bootstrap_name}},
            {"name": "sites", "configMap": {"name": sites_name(routers)}},
        ],
        **{key: value for key, value in given.items() if value},
    }


def _container(routers: Routers) -> Json:
    # 200 once the routes are loaded; Envoy's own /ready says so before.
    serves = {"httpGet": {"path": names.SITES_PATH, "port": "ops"}, "timeoutSeconds": 2}
    return {
        "name": CONTAINER,
        "image": routers.image,
        "imagePullPolicy": routers.image_pull_policy,
        "args": [
            *("-c", f"{names.BOOTSTRAP_FOLDER}/{names.BOOTSTRAP_FILE}"),
            *("--service-node", "$(POD_NAME)"),
            *("--concurrency", str(routers.concurrency)),
            # Without shared memory, and so without any place to write.
            "--disable-hot-restart",
            # Of a listener that is taken away: callers are told at once, and go within that time.
            *("--drain-time-s", str(LISTENER_DRAIN_S), "--drain-strategy", "immediate"),
            *("-l", "warning"),
        ],
        "env": [{"name": "POD_NAME", "valueFrom": {"fieldRef": {"fieldPath": "metadata.name"}}}],
        "ports": [{"name": "ops", "containerPort": names.OPS_PORT, "protocol": "TCP"}],
        "resources": {
            "requests": {"cpu": "50m", "memory": "96Mi"},
            "limits": {"memory": f"{routers.memory_mib}Mi"},
        },
        "startupProbe": {**serves, "periodSeconds": 1, "failureThreshold": 300},
        "readinessProbe": {**serves, "periodSeconds": 2, "failureThreshold": 3},
        # Nothing that depends on the models: to restart a router would help none of them.
        "livenessProbe": {
            "tcpSocket": {"port": "ops"},
            "periodSeconds": 10,
            "timeoutSeconds": 5,
            "failureThreshold": 3,
        },
        "lifecycle": {
            "preStop": {"exec": {"command": [DRAIN, str(NOTICE_S), str(routers.drain_s)]}}
        },
        "terminationMessagePolicy": "FallbackToLogsOnError",
        "securityContext": {
            "allowPrivilegeEscalation": False,
            "readOnlyRootFilesystem": True,
            "capabilities": {"drop": ["ALL"]},
        },
        "volumeMounts": [
            {"name": "bootstrap", "mountPath": names.BOOTSTRAP_FOLDER, "readOnly": True},
            # The whole folder: a subPath is never written again.
            {"name": "sites", "mountPath": names.CONFIG_FOLDER, "readOnly": True},
        ],
    }


def _labels(routers: Routers) -> dict[str, str]:
    return {
        **selector(routers.name),
        "app.kubernetes.io/component": "router",
        "app.kubernetes.io/managed-by": labels.MANAGER,
    }


def _object(kind: Kind, routers: Routers, name: str, body: Json) -> Json:
    metadata: Json = {
        "name": name,
        "namespace": routers.namespace,
        "labels": {**_labels(routers), labels.ROLE: "router"},
    }
    if routers.owner is not None:
        metadata["ownerReferences"] = [routers.owner]
    return {"apiVersion": kind.api_version, "kind": kind.kind, "metadata": metadata, **body}
