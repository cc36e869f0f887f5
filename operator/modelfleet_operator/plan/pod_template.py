"""What do the pods of a revision look like?

The answer is frozen into the revision when it is made, and never asked again: an operator of a
later version may answer differently for new revisions and leaves the old ones alone.

The probes mean three different things. Startup: the model is loaded and warmed up; it may take an
hour, because killing a slow load only makes it slower. Readiness: send requests here; it turns
false at once when the pod is told to go. Liveness: the process still turns over; a model that is
slow or a queue that is full does not make it fail.
"""

import math
from typing import Any, Final

from modelfleet_contract import (
    DOCUMENT_ENV,
    GRPC_PORT,
    GRPC_PORT_NAME,
    HTTP_PORT,
    HTTP_PORT_NAME,
    LIVE_PATH,
    METRICS_PATH,
    MODELS_FOLDER,
    READY_PATH,
    ModelFormat,
    ServeDocument,
)
from modelfleet_operator.api import labels
from modelfleet_operator.api.spec import EnvVar, PodTemplate, Spec
from modelfleet_operator.plan.placement import affinity, limits, tolerations
from modelfleet_operator.plan.types import Defaults
from modelfleet_operator.seen import Json, Resource

USER: Final = 65532
"""The numeric user of both images."""

LEAVING_S: Final = 5
"""How long a pod that is told to go still takes new requests: the time in which every node hears
that it is no longer behind the address."""
FAREWELL_S: Final = 10
"""What ending takes beside the requests: closing the engine, writing the last logs."""
LONGEST_LOAD_S: Final = 3600

MODELS_VOLUME: Final = "models"
TMP_VOLUME: Final = "tmp"

_TORCH_FORMATS: Final = frozenset({ModelFormat.TORCHSCRIPT, ModelFormat.TORCHSERVE})


def pod_template(
    resource: Resource, revision: str, variant: str, spec: Spec, defaults: Defaults
) -> Json:
    """`spec.template` of the revision's Deployment."""
    overlay = spec.pod_template
    names = pod_labels(resource.name, variant, revision)
    return {
        "metadata": _pruned(
            {
                "labels": {**overlay.labels, **names},
                "annotations": {
                    "prometheus.io/scrape": "true",
                    "prometheus.io/port": str(HTTP_PORT),
                    "prometheus.io/path": METRICS_PATH,
                    **overlay.annotations,
                },
            }
        ),
        "spec": _pruned(
            {
                "automountServiceAccountToken": False,
                "enableServiceLinks": False,
                "terminationGracePeriodSeconds": _grace_s(spec),
                "securityContext": {
                    "runAsNonRoot": True,
                    "runAsUser": USER,
                    "runAsGroup": USER,
                    "fsGroup": USER,
                    "seccompProfile": {"type": "RuntimeDefault"},
                },
                "imagePullSecrets": [{"name": name} for name in overlay.image_pull_secrets],
                "priorityClassName": overlay.priority_class_name,
                "nodeSelector": dict(overlay.node_selector),
                "affinity": affinity(spec.accelerator, overlay.affinity),
                "tolerations": tolerations(spec.accelerator, overlay.tolerations),
                "topologySpreadConstraints": _spread(names),
                "initContainers": _before_serving(resource, revision, spec, defaults),
                "containers": [_serving(resource, revision, spec, defaults)],
                "volumes": _volumes(spec),
            }
        ),
    }


def pod_labels(deployment: str, variant: str, revision: str) -> dict[str, str]:
    """The operator's labels on a revision's pods and on what belongs to the revision."""
    return {
        "app.kubernetes.io/name": "modelfleet-runtime",
        "app.kubernetes.io/instance": deployment,
        "app.kubernetes.io/component": "model",
        "app.kubernetes.io/managed-by": labels.MANAGER,
        labels.DEPLOYMENT: deployment,
        labels.VARIANT: variant,
        labels.REVISION: revision,
    }


def _grace_s(spec: Spec) -> int:
    return LEAVING_S + math.ceil(spec.runtime.timeout.total_seconds()) + FAREWELL_S


def _spread(names: dict[str, str]) -> list[Json]:
    return [
        {
            "topologyKey": "kubernetes.io/hostname",
            "maxSkew": 1,
            "whenUnsatisfiable": "ScheduleAnyway",
            "labelSelector": {"matchLabels": {labels.REVISION: names[labels.REVISION]}},
        }
    ]


def _container(
    name: str, arg: str, resource: Resource, revision: str, spec: Spec, defaults: Defaults
) -> Json:
    """What the step before serving and serving itself have in common."""
    document = ServeDocument(
        name=resource.name,
        namespace=resource.namespace,
        revision=revision,
        model=spec.model,
        batching=spec.runtime.batching,
        engine=spec.runtime.engine,
        timeout=spec.runtime.timeout,
        values=spec.runtime.values,
        feedback=spec.runtime.feedback,
    )
    return {
        "name": name,
        "image": _image(spec, defaults),
        "imagePullPolicy": defaults.image_pull_policy,
        "args": [arg],
        "env": [
            # The kubelet reads $(NAME) in a value as another variable, and $$ as one $.
            {"name": DOCUMENT_ENV, "value": document.to_json().replace("$", "$$")},
            *(_env(variable) for variable in spec.runtime.env),
        ],
        "terminationMessagePolicy": "FallbackToLogsOnError",
        "securityContext": {
            "allowPrivilegeEscalation": False,
            "readOnlyRootFilesystem": True,
            "capabilities": {"drop": ["ALL"]},
        },
    }


def _image(spec: Spec, defaults: Defaults) -> str:
    if spec.runtime.image is not None:
        return spec.runtime.image
    if spec.model.format in _TORCH_FORMATS and defaults.runtime_torch_image:
        return defaults.runtime_torch_image
    return defaults.runtime_image


def _env(variable: EnvVar) -> Json:
    return variable.model_dump(mode="json", by_alias=True, exclude_none=True)


def _serving(resource: Resource, revision: str, spec: Spec, defaults: Defaults) -> Json:
    def probe(path: str, **timing: int) -> Json:
        return {"httpGet": {"path": path, "port": HTTP_PORT_NAME}, **timing}

    mounts = [_mount(MODELS_VOLUME, read_only=True)] if _models_volume(spec) else []
    return _pruned(
        {
            **_container(labels.CONTAINER, "serve", resource, revision, spec, defaults),
            "ports": [
                {"name": HTTP_PORT_NAME, "containerPort": HTTP_PORT, "protocol": "TCP"},
                {"name": GRPC_PORT_NAME, "containerPort": GRPC_PORT, "protocol": "TCP"},
            ],
            "resources": _resources(spec, limits(spec.accelerator, spec.resources.limits)),
            "startupProbe": probe(
                READY_PATH, periodSeconds=1, timeoutSeconds=2, failureThreshold=LONGEST_LOAD_S
            ),
            "readinessProbe": probe(
                READY_PATH, periodSeconds=2, timeoutSeconds=2, failureThreshold=2
            ),
            "livenessProbe": probe(
                LIVE_PATH, periodSeconds=10, timeoutSeconds=5, failureThreshold=3
            ),
            "lifecycle": {"preStop": {"sleep": {"seconds": LEAVING_S}}},
            "volumeMounts": [
                *mounts,
                _mount(TMP_VOLUME),
                *spec.pod_template.volume_mounts,
            ],
        }
    )


def _before_serving(
    resource: Resource, revision: str, spec: Spec, defaults: Defaults
) -> list[Json]:
    """The step that copies the model from its address, where that is needed.

    It gets the same CPU and memory as the container that serves (a pod's share is the larger of the
    two, so this costs nothing) and none of its accelerators.
    """
    if not spec.model.fetched:
        return []
    return [
        _pruned(
            {
                **_container(labels.FETCH_CONTAINER, "fetch", resource, revision, spec, defaults),
                "resources": _resources(spec, dict(spec.resources.limits)),
                "volumeMounts": [_mount(MODELS_VOLUME), _mount(TMP_VOLUME)],
            }
        )
    ]


def _resources(spec: Spec, limits_: dict[str, Any]) -> Json:
    return _pruned({"requests": dict(spec.resources.requests), "limits": limits_})


def _models_volume(spec: Spec) -> Json | None:
    if spec.model.claim is not None:
        return {
            "name": MODELS_VOLUME,
            "persistentVolumeClaim": {"claimName": spec.model.claim, "readOnly": True},
        }
    if spec.model.fetched:
        return {"name": MODELS_VOLUME, "emptyDir": {}}
    return None


def _volumes(spec: Spec) -> list[Json]:
    models = _models_volume(spec)
    overlay: PodTemplate = spec.pod_template
    return [
        *([models] if models else []),
        {"name": TMP_VOLUME, "emptyDir": {}},
        *overlay.volumes,
    ]


def _mount(volume: str, *, read_only: bool = False) -> Json:
    path = {MODELS_VOLUME: MODELS_FOLDER, TMP_VOLUME: "/tmp"}[volume]
    mount: Json = {"name": volume, "mountPath": path}
    return {**mount, "readOnly": True} if read_only else mount


def _pruned(fields: Json) -> Json:
    """Without what is not set: what the operator does not say is not the operator's field."""
    return {key: value for key, value in fields.items() if value not in (None, {}, [], ())}
