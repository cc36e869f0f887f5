"""The pair as objects of the cluster."""

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from modelfleet_operator.router import names
from modelfleet_operator.router.bootstrap import LADDER_MS
from modelfleet_operator.router.files import Pair, files
from modelfleet_operator.router.pod import (
    CONFIG_ANNOTATION,
    DRAIN,
    NOTICE_S,
    Routers,
    address_ports,
    all_of,
    drain_s,
    selector,
)
from modelfleet_operator.router.site import MIB
from tests.unit.operator.router.builders import site

ROUTERS = Routers("team-a", "modelfleet/router:1")
DATA = files([site()], Pair()).data


def objects(routers: Routers = ROUTERS) -> dict[str, Any]:
    return {f"{one['kind']}/{one['metadata']['name']}": one for one in all_of(routers, DATA)}


def pod(routers: Routers = ROUTERS) -> Any:
    return objects(routers)["Deployment/modelfleet-router"]["spec"]["template"]["spec"]


def test_what_a_pair_consists_of_in_the_order_in_which_it_is_made() -> None:
    kinds = [one["kind"] for one in all_of(ROUTERS, DATA)]
    assert kinds == ["ConfigMap", "ConfigMap", "Deployment", "PodDisruptionBudget", "Service"]
    for one in objects().values():
        assert one["metadata"]["namespace"] == "team-a"
        assert one["metadata"]["labels"]["app.kubernetes.io/managed-by"] == "modelfleet"
        assert "ownerReferences" not in one["metadata"]


def test_a_pair_of_one_deployments_own_has_its_name_and_its_owner() -> None:
    owner = {"kind": "ModelDeployment", "name": "digits", "uid": "1"}
    own = objects(replace(ROUTERS, name="digits-router", owner=owner))
    assert "Deployment/digits-router" in own
    assert all(one["metadata"]["ownerReferences"] == [owner] for one in own.values())


def test_another_bootstrap_is_another_object_and_so_another_pod() -> None:
    def mounted(routers: Routers) -> str:
        (volume,) = [each for each in pod(routers)["volumes"] if each["name"] == "bootstrap"]
        name = str(volume["configMap"]["name"])
        assert objects(routers)[f"ConfigMap/{name}"]["immutable"] is True
        return name

    assert mounted(ROUTERS) == mounted(replace(ROUTERS, image="modelfleet/router:2"))
    assert mounted(ROUTERS) != mounted(replace(ROUTERS, latency_ms=(*LADDER_MS, 90_000.0)))


def test_other_sites_leave_the_pods_as_they_are() -> None:
    other = {one["kind"]: one for one in all_of(ROUTERS, files([], Pair()).data)}
    assert other["Deployment"] == objects()["Deployment/modelfleet-router"]
    assert CONFIG_ANNOTATION not in json.dumps(other["Deployment"])


def test_pods_keep_to_the_restricted_standard_and_write_nowhere() -> None:
    spec = pod()
    (container,) = spec["containers"]
    assert spec["securityContext"]["runAsNonRoot"] is True
    assert spec["securityContext"]["seccompProfile"] == {"type": "RuntimeDefault"}
    assert spec["automountServiceAccountToken"] is False
    assert container["securityContext"] == {
        "allowPrivilegeEscalation": False,
        "readOnlyRootFilesystem": True,
        "capabilities": {"drop": ["ALL"]},
    }
    assert all(mount["readOnly"] for mount in container["volumeMounts"])
    assert all("configMap" in volume for volume in spec["volumes"])
    assert "--disable-hot-restart" in container["args"]


def test_only_the_ops_port_is_named_and_no_probe_depends_on_a_model() -> None:
    (container,) = pod()["containers"]
    assert [port["containerPort"] for port in container["ports"]] == [names.OPS_PORT]
    assert container["readinessProbe"]["httpGet"] == {"path": "/sites", "port": "ops"}
    assert container["startupProbe"]["httpGet"] == {"path": "/sites", "port": "ops"}
    assert container["livenessProbe"]["tcpSocket"] == {"port": "ops"}


def test_a_pod_is_given_the_time_that_its_drain_may_take() -> None:
    routers = replace(ROUTERS, drain_s=drain_s([site(timeout_s=200)]))
    (container,) = pod(routers)["containers"]
    assert container["lifecycle"]["preStop"]["exec"]["command"] == [DRAIN, str(NOTICE_S), "300"]
    assert pod(routers)["terminationGracePeriodSeconds"] > 300


@pytest.mark.parametrize(
    ("timeouts", "drain"), [([], 60), ([30], 60), ([30, 53], 300), ([3600], 3600), ([9000], 3600)]
)
def test_the_drain_has_few_steps(timeouts: list[float], drain: int) -> None:
    assert drain_s(site(timeout_s=timeout) for timeout in timeouts) == drain


def test_the_heap_leaves_room_below_the_limit() -> None:
    found = objects(replace(ROUTERS, memory_mib=512))
    (text,) = [one["data"]["bootstrap.json"] for one in found.values() if one.get("immutable")]
    monitors = json.loads(text)["overload_manager"]["resource_monitors"]
    assert monitors[0]["typed_config"]["max_heap_size_bytes"] == 384 * MIB


def test_a_stable_service_leads_to_the_listeners_of_its_site() -> None:
    ports = {port["name"]: (port["port"], port["targetPort"]) for port in address_ports(site())}
    assert ports == {"http": (80, 10_000), "grpc": (8081, 10_001)}
    deployment = objects()["Deployment/modelfleet-router"]["spec"]
    assert selector(ROUTERS.name) == deployment["selector"]["matchLabels"]
    labels = deployment["template"]["metadata"]["labels"]
    assert selector(ROUTERS.name).items() <= labels.items()


def test_the_image_has_the_script_that_the_pod_runs() -> None:
    root = Path(__file__).parents[4]
    lines = (root / "Dockerfile.router").read_text().splitlines()
    ((_, script, to),) = [line.split() for line in lines if line.startswith("COPY operator")]
    assert to == DRAIN
    assert (root / script).stat().st_mode & 0o111
    assert (root / script).read_text().startswith("#!/bin/bash\n")
