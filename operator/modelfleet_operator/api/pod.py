"""Which words of a pod's own spec does a ModelDeployment take over?

What is read here is a plain dictionary, handed on to the pod as it is. What may be in it stands in
the schema beside it, so that a misspelt field is refused when it is applied and not, later and
elsewhere, when the pods are made.
"""

from typing import Annotated, Any, Final

from pydantic import BeforeValidator, ConfigDict, Field, WithJsonSchema

from modelfleet_contract import MODELS_FOLDER, Shared
from modelfleet_operator.api.rules import (
    ATOMIC,
    DNS_NAME_PATTERN,
    ENV_NAME_PATTERN,
    FREE_FORM,
    INT_OR_STRING,
    LABEL_VALUE_PATTERN,
    MAP_TYPE,
    QUANTITY_PATTERN,
    SET,
    SHAPES,
    Schema,
    map_by,
    quoted,
    rule,
    rules,
)

OWN_VOLUMES: Final = {"models": MODELS_FOLDER, "tmp": "/tmp"}
"""The volumes that the operator gives every pod, and where they are mounted."""


def _amount(value: Any) -> Any:
    """`cpu: 2` is a number in YAML and means what "2" means."""
    if isinstance(value, int) and not isinstance(value, bool):
        return str(value)
    return value


Quantity = Annotated[
    str,
    BeforeValidator(_amount),
    Field(pattern=QUANTITY_PATTERN, max_length=32),
    WithJsonSchema(
        {INT_OR_STRING: True, "maxLength": 32}
        | rules(
            rule(
                f"type(self) == int ? self >= 0 : self.matches({quoted(QUANTITY_PATTERN)})",
                SHAPES[QUANTITY_PATTERN],
            )
        )
    ),
]
"""An amount as Kubernetes writes it: 500m, 2, 1Gi. A whole number is held as its text."""

ObjectName = Annotated[str, Field(pattern=DNS_NAME_PATTERN, min_length=1, max_length=253)]

LabelValue = Annotated[str, Field(pattern=LABEL_VALUE_PATTERN, max_length=63)]


AS_IN_A_POD: Final = "As in a pod."


def _text(longest: int = 253) -> Schema:
    return {"type": "string", "maxLength": longest}


def _object(properties: dict[str, Schema], *required: str, **more: Any) -> Schema:
    made: Schema = {"type": "object", "description": AS_IN_A_POD, "properties": properties}
    return made | ({"required": list(required)} if required else {}) | more


def _free() -> Schema:
    return {"type": "object", "description": AS_IN_A_POD, FREE_FORM: True}


_BOOLEAN: Schema = {"type": "boolean"}
_KEY = _object({"name": _text(), "key": _text(), "optional": _BOOLEAN}, "name", "key")

ValueFrom = Annotated[
    dict[str, Any],
    WithJsonSchema(
        _object(
            {
                "secretKeyRef": _KEY,
                "configMapKeyRef": _KEY,
                "fieldRef": _object({"apiVersion": _text(), "fieldPath": _text()}, "fieldPath"),
                "resourceFieldRef": _object(
                    {
                        "containerName": _text(),
                        "resource": _text(),
                        "divisor": {INT_OR_STRING: True, "maxLength": 32},
                    },
                    "resource",
                ),
            },
            **{MAP_TYPE: "atomic"},
            **rules(
                rule(
                    "[has(self.secretKeyRef), has(self.configMapKeyRef), has(self.fieldRef), "
                    "has(self.resourceFieldRef)].filter(given, given).size() == 1",
                    "give exactly one of secretKeyRef, configMapKeyRef, fieldRef and "
                    "resourceFieldRef.",
                )
            ),
        )
    ),
]

Toleration = Annotated[
    dict[str, Any],
    WithJsonSchema(
        _object(
            {
                "key": _text(317),
                "operator": _text(16),
                "value": _text(63),
                "effect": _text(32),
                "tolerationSeconds": {"type": "integer", "format": "int64"},
            }
        )
    ),
]

Affinity = Annotated[
    dict[str, Any],
    WithJsonSchema(
        _object(
            {
                "nodeAffinity": _free(),
                "podAffinity": _free(),
                "podAntiAffinity": _free(),
            },
            **{MAP_TYPE: "atomic"},
        )
    ),
]

# What Pod Security `restricted` lets a pod have: with another kind the pods would be refused later.
_VOLUME_KINDS = [
    "configMap",
    "csi",
    "downwardAPI",
    "emptyDir",
    "ephemeral",
    "image",
    "persistentVolumeClaim",
    "projected",
    "secret",
]

Volume = Annotated[
    dict[str, Any],
    WithJsonSchema(
        _object(
            {"name": _text(63)} | {kind: _free() for kind in _VOLUME_KINDS},
            "name",
            **rules(
                rule(
                    f"[{', '.join(f'has(self.{kind})' for kind in _VOLUME_KINDS)}]"
                    ".filter(given, given).size() == 1",
                    f"give exactly one kind of volume: {', '.join(_VOLUME_KINDS)}; "
                    "the pods keep to Pod Security restricted, which allows no other.",
                ),
                rule(
                    f"!(self.name in {list(OWN_VOLUMES)})",
                    "give the volume another name: models and tmp are the operator's own.",
                ),
            ),
        )
    ),
]

VolumeMount = Annotated[
    dict[str, Any],
    WithJsonSchema(
        _object(
            {
                "name": _text(63),
                "mountPath": _text(1024),
                "subPath": _text(1024),
                "subPathExpr": _text(1024),
                "readOnly": _BOOLEAN,
                "recursiveReadOnly": _text(32),
                "mountPropagation": _text(32),
            },
            "name",
            "mountPath",
            **rules(
                rule(
                    "self.mountPath.startsWith('/')",
                    "write an absolute path, beginning with /.",
                    ".mountPath",
                ),
                rule(
                    f"!(self.mountPath in {[*OWN_VOLUMES.values(), '/']})",
                    "mount the volume elsewhere: /models and /tmp are the operator's own, "
                    "and / is the image.",
                    ".mountPath",
                ),
            ),
        )
    ),
]

_OWN_PREFIXES = rule(
    "self.all(key, !key.startsWith('modelfleet.dev/') && !key.startsWith('app.kubernetes.io/'))",
    "choose another prefix: keys that begin with modelfleet.dev/ or app.kubernetes.io/ are the "
    "operator's own.",
)


class EnvVar(Shared):
    """One environment variable of the container that serves."""

    model_config = ConfigDict(
        json_schema_extra=rules(
            rule(
                "has(self.value) != has(self.valueFrom)",
                "give exactly one of value and valueFrom (value: '' is an empty one).",
            ),
            rule(
                "!self.name.startsWith('MODELFLEET_')",
                "choose another name: names that begin with MODELFLEET_ are the operator's own.",
                ".name",
            ),
        )
    )

    name: str = Field(pattern=ENV_NAME_PATTERN, min_length=1, max_length=253)
    """The variable's name. Names that begin with MODELFLEET_ belong to the operator."""

    value: str | None = Field(default=None, max_length=32768)
    """The value itself; or use valueFrom."""

    value_from: ValueFrom | None = None
    """A secretKeyRef, configMapKeyRef, fieldRef or resourceFieldRef, as in a pod."""


_KNOWN_RESOURCES = rules(
    rule(
        "self.all(key, key in ['cpu', 'memory', 'ephemeral-storage'] || "
        "key.startsWith('hugepages-') || key.contains('/'))",
        "use the names cpu, memory, ephemeral-storage, hugepages-SIZE, or a full one such as "
        "example.com/device.",
    )
)


_WITHIN_LIMITS = rule(
    "!has(self.requests) || !has(self.limits) || self.requests.all(key, !(key in self.limits) || "
    "!isQuantity(string(self.requests[key])) || !isQuantity(string(self.limits[key])) || "
    "!quantity(string(self.requests[key])).isGreaterThan(quantity(string(self.limits[key]))))",
    "ask in requests for no more than limits allow: raise the limit or lower the request.",
)


class Resources(Shared):
    """CPU and memory of each pod, as in a container of a pod."""

    model_config = ConfigDict(json_schema_extra=rules(_WITHIN_LIMITS))

    requests: dict[str, Quantity] = Field(
        default={}, max_length=16, json_schema_extra=_KNOWN_RESOURCES
    )
    """What each pod is guaranteed."""

    limits: dict[str, Quantity] = Field(
        default={}, max_length=16, json_schema_extra=_KNOWN_RESOURCES
    )
    """What each pod may use at the most."""


class PodTemplate(Shared):
    """A small overlay on the pods that the operator makes, in the words of a pod's own spec."""

    model_config = ConfigDict(
        json_schema_extra=rules(
            rule(
                "!has(self.volumeMounts) || self.volumeMounts.all(mount, "
                "has(self.volumes) && self.volumes.exists(volume, volume.name == mount.name))",
                "each mount names a volume in podTemplate.volumes: add the volume, "
                "or take the mount out.",
                ".volumeMounts",
            ),
            # A volume that nothing mounts is either a mistake or a way to keep pods from starting.
            rule(
                "!has(self.volumes) || self.volumes.all(volume, "
                "has(self.volumeMounts) && "
                "self.volumeMounts.exists(mount, mount.name == volume.name))",
                "a volume has no effect unless podTemplate.volumeMounts mounts it: add the mount, "
                "or take the volume out.",
                ".volumes",
            ),
        )
    )

    labels: dict[str, LabelValue] = Field(
        default={}, max_length=32, json_schema_extra=rules(_OWN_PREFIXES)
    )
    """Labels for the pods, beside the operator's own."""

    annotations: dict[str, Annotated[str, Field(max_length=8192)]] = Field(
        default={}, max_length=32, json_schema_extra=rules(_OWN_PREFIXES)
    )
    """Annotations for the pods."""

    node_selector: dict[str, LabelValue] = Field(default={}, max_length=32)
    """Labels that a node must have."""

    tolerations: tuple[Toleration, ...] = Field(default=(), max_length=32, json_schema_extra=ATOMIC)
    """Taints that the pods put up with, beside the accelerator's."""

    affinity: Affinity | None = None
    """A pod's affinity. The accelerator's products are added to what it requires of nodes."""

    image_pull_secrets: tuple[ObjectName, ...] = Field(
        default=(), max_length=16, json_schema_extra=SET
    )
    """Names of the Secrets with which images are pulled."""

    priority_class_name: ObjectName | None = None
    """The pods' PriorityClass."""

    volumes: tuple[Volume, ...] = Field(default=(), max_length=32, json_schema_extra=map_by("name"))
    """Volumes of the pods, beside the operator's own."""

    volume_mounts: tuple[VolumeMount, ...] = Field(
        default=(), max_length=32, json_schema_extra=map_by("mountPath")
    )
    """Where the container that serves mounts those volumes."""
