"""What do the pods of a revision look like?

The whole of it stands in `golden/`; REWRITE_GOLDEN=1 writes the files anew, and the review is their
difference. A change here makes no running pod restart, because each revision keeps its own.
"""

import json
import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import yaml

from modelfleet_contract import DOCUMENT_ENV, ServeDocument
from modelfleet_operator.api.spec import Spec
from modelfleet_operator.plan.pod_template import pod_template
from modelfleet_operator.plan.types import Defaults
from modelfleet_operator.seen import Json
from tests.unit.operator.builders import DEFAULTS, resource, spec_json

GOLDEN = Path(__file__).parent / "golden"
REQUIRED = "requiredDuringSchedulingIgnoredDuringExecution"

SPECS: dict[str, dict[str, Any]] = {
    "file": {},
    "pvc": {
        "model": {"uri": "pvc://models/digits/3", "format": "onnx", "version": "3"},
        "resources": {"requests": {"cpu": 1, "memory": "1Gi"}, "limits": {"memory": "2Gi"}},
        "runtime": {"batching": {"maxSize": 8, "maxDelay": "2ms"}, "timeout": "1m30s"},
    },
    "https": {
        "model": {"uri": "https://host/digits.onnx", "digest": "sha256:" + "0a" * 32},
        "resources": {"requests": {"cpu": "500m"}, "limits": {"memory": "2Gi"}},
        "runtime": {"env": [{"name": "TOKEN", "valueFrom": {"secretKeyRef": {"name": "s"}}}]},
    },
    "accelerator": {
        "accelerator": {"count": 2, "products": ["NVIDIA-L4", "NVIDIA-A100-SXM4-40GB"]},
        "podTemplate": {
            "labels": {"team": "a", "app.kubernetes.io/name": "mine"},
            "annotations": {"prometheus.io/scrape": "false", "note": "x"},
            "nodeSelector": {"pool": "gpu"},
            "tolerations": [{"key": "spot", "operator": "Exists"}],
            "affinity": {
                "nodeAffinity": {
                    REQUIRED: {
                        "nodeSelectorTerms": [
                            {"matchExpressions": [{"key": "zone", "operator": "Exists"}]}
                        ]
                    }
                }
            },
            "imagePullSecrets": ["registry"],
            "priorityClassName": "high",
            "volumes": [{"name": "cache", "emptyDir": {"sizeLimit": "1Gi"}}],
            "volumeMounts": [{"name": "cache", "mountPath": "/cache"}],
        },
    },
}


def made(defaults: Defaults = DEFAULTS, **fields: Any) -> Json:
    wanted = Spec.model_validate({**spec_json(), **fields})
    return pod_template(resource(wanted), "digits-0123456789", "default", wanted, defaults)


def containers(template: Json) -> list[Json]:
    return [*template["spec"].get("initContainers", ()), *template["spec"]["containers"]]


@pytest.mark.parametrize("name", SPECS)
def test_the_whole_template_is_as_it_was(name: str) -> None:
    written = yaml.safe_dump(made(**SPECS[name]), sort_keys=False)
    golden = GOLDEN / f"{name}.yaml"
    if os.environ.get("REWRITE_GOLDEN"):
        golden.write_text(written)
    assert written == golden.read_text()


def test_every_golden_file_has_its_case() -> None:
    assert {path.stem for path in GOLDEN.glob("*.yaml")} == set(SPECS)


RESTRICTED: dict[str, Callable[[Json, Json], bool]] = {
    "privilege escalation": lambda c, _: c["allowPrivilegeEscalation"] is False,
    "capabilities": lambda c, _: c["capabilities"] == {"drop": ["ALL"]},
    "non-root": lambda _, pod: pod["runAsNonRoot"] is True and pod["runAsUser"] > 0,
    "seccomp": lambda _, pod: pod["seccompProfile"]["type"] == "RuntimeDefault",
    "privileged": lambda c, _: not c.get("privileged"),
    "read-only root (ours, beyond the standard)": lambda c, _: c["readOnlyRootFilesystem"] is True,
}
HOST = ("hostNetwork", "hostPID", "hostIPC", "hostUsers")
VOLUMES = {"name", "emptyDir", "persistentVolumeClaim"}


@pytest.mark.parametrize("name", SPECS)
def test_the_pods_keep_to_pod_security_restricted(name: str) -> None:
    template = made(**SPECS[name])
    pod = template["spec"]
    for container in containers(template):
        for rule, holds in RESTRICTED.items():
            assert holds(container["securityContext"], pod["securityContext"]), rule
        assert not any("hostPort" in port for port in container.get("ports", ()))
    assert not any(field in pod for field in HOST)
    assert all(volume.keys() <= VOLUMES for volume in pod["volumes"])


@pytest.mark.parametrize("name", SPECS)
def test_the_pods_have_no_service_accounts_token_and_no_other_services_variables(name: str) -> None:
    pod = made(**SPECS[name])["spec"]
    assert pod["automountServiceAccountToken"] is False
    assert pod["enableServiceLinks"] is False


@pytest.mark.parametrize(
    ("timeout", "seconds"), [("30s", 45), ("1ms", 16), ("1500ms", 17), ("1h", 3615)]
)
def test_a_pod_may_finish_a_whole_request_after_it_was_told_to_go(
    timeout: str, seconds: int
) -> None:
    pod = made(runtime={"timeout": timeout})["spec"]
    assert pod["terminationGracePeriodSeconds"] == seconds
    (container,) = pod["containers"]
    assert container["lifecycle"]["preStop"]["sleep"]["seconds"] < seconds - 10


def test_a_slow_load_is_not_killed_and_a_hanging_process_is() -> None:
    (container,) = made()["spec"]["containers"]
    startup, live = container["startupProbe"], container["livenessProbe"]
    assert startup["periodSeconds"] * startup["failureThreshold"] == 3600
    assert startup["httpGet"]["path"] == container["readinessProbe"]["httpGet"]["path"]
    assert live["httpGet"]["path"] != startup["httpGet"]["path"]


@pytest.mark.parametrize("name", SPECS)
def test_the_document_says_what_to_serve(name: str) -> None:
    wanted = Spec.model_validate({**spec_json(), **SPECS[name]})
    for container in containers(made(**SPECS[name])):
        document = ServeDocument.from_json(container["env"][0]["value"])
        assert container["env"][0]["name"] == DOCUMENT_ENV
        assert (document.model, document.name, document.revision) == (
            wanted.model,
            "digits",
            "digits-0123456789",
        )
        assert (document.timeout, document.batching) == (
            wanted.runtime.timeout,
            wanted.runtime.batching,
        )


def test_the_document_holds_only_what_is_set() -> None:
    document = json.loads(containers(made())[0]["env"][0]["value"])
    assert document.keys() == {"name", "namespace", "revision", "model"}


@pytest.mark.parametrize(
    ("fields", "defaults", "image"),
    [
        pytest.param({}, DEFAULTS, "runtime:1", id="the operator's"),
        pytest.param({"runtime": {"image": "mine:1"}}, DEFAULTS, "mine:1", id="one's own"),
        pytest.param(
            {"model": {"uri": "file:///m.pt", "format": "torchscript"}},
            DEFAULTS,
            "runtime-torch:1",
            id="the one with torch",
        ),
        pytest.param(
            {"model": {"uri": "file:///m.pt", "format": "torchscript"}},
            Defaults("runtime:1", ""),
            "runtime:1",
            id="one that has everything",
        ),
    ],
)
def test_which_image_runs(fields: dict[str, Any], defaults: Defaults, image: str) -> None:
    assert {c["image"] for c in containers(made(defaults, **fields))} == {image}


def test_only_a_model_that_is_fetched_has_a_step_before_serving() -> None:
    assert ["initContainers" in made(**SPECS[name])["spec"] for name in SPECS] == [
        False,
        False,
        True,
        False,
    ]
    fetch = made(accelerator={}, **SPECS["https"])["spec"]["initContainers"][0]
    assert fetch["resources"]["limits"] == {"memory": "2Gi"}, "no accelerator is taken to fetch"


def test_the_labels_by_which_pods_are_found_cannot_be_overlaid() -> None:
    metadata = made(**SPECS["accelerator"])["metadata"]
    assert metadata["labels"]["app.kubernetes.io/name"] == "modelfleet-runtime"
    assert metadata["labels"]["team"] == "a"
    assert metadata["annotations"]["prometheus.io/scrape"] == "false"
