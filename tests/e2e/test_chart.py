"""What does the chart install, what may the operator then do, and what may it not?"""

import json
from dataclasses import fields
from pathlib import Path
from typing import Any

import pytest
import yaml

from modelfleet_operator.settings import Settings
from tests.e2e.program import Program

ROOT = Path(__file__).parents[2]
CHART = str(ROOT / "helm" / "modelfleet")
CRD = ROOT / "crds" / "modelfleet.dev_modeldeployments.yaml"

NAMESPACE = "modelfleet-system"
ACCOUNT = f"system:serviceaccount:{NAMESPACE}:modelfleet-operator"


def rendered(helm: Program, *arguments: str) -> list[dict[str, Any]]:
    answer = helm("template", "modelfleet", CHART, "--namespace", NAMESPACE, *arguments)
    return [document for document in yaml.safe_load_all(answer.stdout) if document]


def of_kind(documents: list[dict[str, Any]], *kinds: str) -> list[dict[str, Any]]:
    return [document for document in documents if document["kind"] in kinds]


def deployment(documents: list[dict[str, Any]]) -> dict[str, Any]:
    (found,) = of_kind(documents, "Deployment")
    return found


# What the operator may do, in a namespace that is not its own.

MAY = [
    "watch modeldeployments.modelfleet.dev",
    "patch modeldeployments.modelfleet.dev --subresource=status",
    "create deployments.apps",
    "patch deployments.apps --subresource=scale",
    "delete controllerrevisions.apps",
    "patch services",
    "delete horizontalpodautoscalers.autoscaling",
    "create poddisruptionbudgets.policy",
    "list pods",
    "patch pods",
    "delete pods",
    "create configmaps",
    "delete configmaps",
    "list endpointslices.discovery.k8s.io",
    "list nodes",
    "create events",
    "create httproutes.gateway.networking.k8s.io",
    "delete grpcroutes.gateway.networking.k8s.io",
    "get gateways.gateway.networking.k8s.io",
]

MAY_NOT = [
    # Nobody's secrets.
    "get secrets",
    "list secrets",
    "watch secrets",
    "create secrets",
    "create serviceaccounts/token",
    # The resource is the user's: only its status is the operator's.
    "create modeldeployments.modelfleet.dev",
    "update modeldeployments.modelfleet.dev",
    "patch modeldeployments.modelfleet.dev",
    "delete modeldeployments.modelfleet.dev",
    "deletecollection modeldeployments.modelfleet.dev",
    # Pods are their Deployment's.
    "create pods",
    "update pods",
    "create pods --subresource=exec",
    "create pods --subresource=eviction",
    "get pods --subresource=log",
    # Nothing by the lot.
    "deletecollection deployments.apps",
    "deletecollection services",
    # A Gateway is whoever's made it.
    "create gateways.gateway.networking.k8s.io",
    "patch gateways.gateway.networking.k8s.io",
    # No other workloads, claims or quotas.
    "create daemonsets.apps",
    "create statefulsets.apps",
    "create jobs.batch",
    "get persistentvolumeclaims",
    "create networkpolicies.networking.k8s.io",
    "create leases.coordination.k8s.io",
    # No way to more rights.
    "create roles.rbac.authorization.k8s.io",
    "create rolebindings.rbac.authorization.k8s.io",
    "create clusterroles.rbac.authorization.k8s.io",
    "patch clusterrolebindings.rbac.authorization.k8s.io",
    "impersonate users",
    # Nothing of the cluster's own.
    "watch nodes",
    "patch nodes",
    "patch nodes --subresource=status",
    "list namespaces",
    "create namespaces",
    "list customresourcedefinitions.apiextensions.k8s.io",
    "patch customresourcedefinitions.apiextensions.k8s.io",
    "create mutatingwebhookconfigurations.admissionregistration.k8s.io",
]


def can(kubectl: Program, what: str, namespace: str = "default") -> bool:
    """As `kubectl auth can-i` asks, but also of kinds that the cluster does not have."""
    verb, resource, *flags = what.split()
    kind, _, name = resource.partition("/")
    plural, _, group = kind.partition(".")
    asked = {
        "namespace": namespace,
        "verb": verb,
        "group": group,
        "resource": plural,
        "name": name,
        "subresource": "".join(flag.removeprefix("--subresource=") for flag in flags),
    }
    groups = [
        "system:authenticated",
        "system:serviceaccounts",
        f"system:serviceaccounts:{ACCOUNT.split(':')[2]}",
    ]
    review = {
        "apiVersion": "authorization.k8s.io/v1",
        "kind": "SubjectAccessReview",
        "spec": {"user": ACCOUNT, "groups": groups, "resourceAttributes": asked},
    }
    answer = kubectl("create", "-f", "-", "-o", "json", stdin=json.dumps(review))
    return bool(json.loads(answer.stdout)["status"]["allowed"])


@pytest.mark.usefixtures("operator")
@pytest.mark.parametrize("what", MAY)
def test_the_operator_may(kubectl: Program, what: str) -> None:
    assert can(kubectl, what)


@pytest.mark.usefixtures("operator")
@pytest.mark.parametrize("what", MAY_NOT)
def test_the_operator_may_not(kubectl: Program, what: str) -> None:
    assert not can(kubectl, what)


@pytest.mark.usefixtures("operator")
def test_the_lease_is_the_operators_own(kubectl: Program) -> None:
    assert can(kubectl, "update leases.coordination.k8s.io/modelfleet-operator", NAMESPACE)
    assert can(kubectl, "create leases.coordination.k8s.io", NAMESPACE)
    assert not can(kubectl, "update leases.coordination.k8s.io/another", NAMESPACE)
    assert not can(kubectl, "get secrets", NAMESPACE)


@pytest.mark.usefixtures("operator")
def test_the_resource_reads_well(kubectl: Program) -> None:
    explained = kubectl(
        "explain", "modeldeployments.spec.rollout", "--api-version=modelfleet.dev/v1alpha1"
    ).stdout
    assert "progressDeadline" in explained
    assert "Default 15m." in explained
    kind = json.loads(kubectl("get", "crd", "modeldeployments.modelfleet.dev", "-o", "json").stdout)
    shown = [
        column["name"]
        for column in kind["spec"]["versions"][0]["additionalPrinterColumns"]
        if not column.get("priority")
    ]
    assert shown == ["Version", "Ready", "Desired", "Phase", "Age"]
    assert kind["metadata"]["annotations"]["helm.sh/resource-policy"] == "keep"


@pytest.mark.usefixtures("operator")
def test_an_upgrade_that_changes_nothing_restarts_nothing(helm: Program, kubectl: Program) -> None:
    def generation() -> str:
        return kubectl(
            "-n", NAMESPACE, "get", "deployment", "modelfleet-operator",
            "-o", "jsonpath={.metadata.generation}",
        ).stdout  # fmt: skip

    before = generation()
    helm("upgrade", "modelfleet", CHART, "--namespace", NAMESPACE, "--reuse-values")
    assert generation() == before


def test_lint_finds_nothing(helm: Program) -> None:
    answer = helm("lint", "--strict", CHART)
    assert "[WARNING]" not in answer.stdout + answer.stderr
    assert "[ERROR]" not in answer.stdout + answer.stderr


@pytest.mark.parametrize(
    ("value", "says"),
    [
        ("replica=3", "replica"),
        ("image.runtime.tagg=1", "tagg"),
        ("image.pullPolicy=Sometimes", "/image/pullPolicy"),
        ("replicas=two", "/replicas"),
        ("logLevel=LOUD", "/logLevel"),
        ("crds.keep=true", "keep"),
        ("watchNamespaces=team-a", "/watchNamespaces"),
        ("watchNamespaces={Team_A}", "/watchNamespaces/0"),
        ("tolerations[0].keys=gpu", "keys"),
        ("podMonitor.interval=often", "/podMonitor/interval"),
        ("prometheus.url=prometheus:9090", "/prometheus/url"),
        ("prometheus.url=http://prometheus:9090/?tenant=a", "/prometheus/url"),
        ("prometheus.tokenSecret.file=token", "file"),
        ("prometheus.tokenSecret.name=reader", "no effect without prometheus.url"),
    ],
)
def test_refuses_a_value(helm: Program, value: str, says: str) -> None:
    answer = helm("template", "modelfleet", CHART, "--set", value, check=False)
    assert answer.returncode != 0
    assert says in answer.stderr


def _told_of_prometheus(document: dict[str, Any]) -> tuple[dict[str, str], list[Any], list[Any]]:
    """Settings, volumes and mounts that speak of it."""
    pod = document["spec"]["template"]["spec"]
    (container,) = pod["containers"]
    env = {one["name"]: one.get("value", "") for one in container["env"]}
    prefix = "MODELFLEET_PROMETHEUS_"
    told = {name.removeprefix(prefix): v for name, v in env.items() if name.startswith(prefix)}
    volumes = [one for one in pod["volumes"] if "secret" in one]
    return told, volumes, [one for one in container["volumeMounts"] if one["name"] != "tmp"]


def test_a_prometheus_is_named_with_the_secret_of_its_token(helm: Program) -> None:
    told = _told_of_prometheus(deployment(rendered(helm)))
    assert told == ({"URL": "", "TOKEN_FILE": ""}, [], [])

    url = "https://prometheus.monitoring.svc:9091/behind/a/proxy"
    named = rendered(helm, "--set", f"prometheus.url={url}")
    assert _told_of_prometheus(deployment(named)) == ({"URL": url, "TOKEN_FILE": ""}, [], [])

    secret = "prometheus.tokenSecret.name=reader,prometheus.tokenSecret.key=bearer"
    with_token = deployment(rendered(helm, "--set", f"prometheus.url={url},{secret}"))
    with_secret, (volume,), (mount,) = _told_of_prometheus(with_token)
    assert volume["secret"] == {
        "secretName": "reader", "items": [{"key": "bearer", "path": "token"}]
    }  # fmt: skip
    assert mount == {"name": volume["name"], "mountPath": mount["mountPath"], "readOnly": True}
    assert with_secret["TOKEN_FILE"] == f"{mount['mountPath']}/token"
    Settings.from_env(
        {"MODELFLEET_RUNTIME_IMAGE": "i"}
        | {f"MODELFLEET_PROMETHEUS_{k}": v for k, v in with_secret.items()}
    )


def test_a_cluster_that_is_too_old_is_refused(helm: Program) -> None:
    answer = helm("template", "modelfleet", CHART, "--kube-version", "1.29.0", check=False)
    assert answer.returncode != 0
    assert ">=1.30" in answer.stderr


def test_namespaced_install_holds_no_right_of_the_clusters(helm: Program) -> None:
    documents = rendered(helm, "--set", "watchNamespaces={team-a,team-b}")
    assert not of_kind(documents, "ClusterRole", "ClusterRoleBinding")
    places = {d["metadata"]["namespace"] for d in of_kind(documents, "RoleBinding")}
    assert places == {"team-a", "team-b", NAMESPACE}
    for binding in of_kind(documents, "RoleBinding"):
        (subject,) = binding["subjects"]
        assert (subject["namespace"], subject["name"]) == (NAMESPACE, "modelfleet-operator")
    (container,) = deployment(documents)["spec"]["template"]["spec"]["containers"]
    env = {variable["name"]: variable.get("value") for variable in container["env"]}
    assert env["MODELFLEET_NAMESPACES"] == "team-a,team-b"


def test_no_rule_is_open(helm: Program) -> None:
    """Neither a wildcard nor a Secret, in any way to install."""
    for arguments in ((), ("--set", "watchNamespaces={team-a}")):
        for role in of_kind(rendered(helm, *arguments), "ClusterRole", "Role"):
            for rule in role["rules"]:
                assert "*" not in rule["apiGroups"] + rule["resources"] + rule["verbs"]
                assert "secrets" not in rule["resources"]
                if "nodes" in rule["resources"]:
                    assert (role["kind"], rule["verbs"]) == ("ClusterRole", ["get", "list"])


def test_every_setting_is_set(helm: Program) -> None:
    (container,) = deployment(rendered(helm))["spec"]["template"]["spec"]["containers"]
    assert {variable["name"] for variable in container["env"]} == {
        f"MODELFLEET_{setting.name.upper()}" for setting in fields(Settings)
    }


def test_what_is_rendered_is_what_is_committed(helm: Program) -> None:
    (found,) = of_kind(rendered(helm), "CustomResourceDefinition")
    added = {key: found["metadata"].pop(key) for key in ("annotations", "labels")}
    assert found == yaml.safe_load(CRD.read_text())
    assert added["annotations"] == {"helm.sh/resource-policy": "keep"}
    assert not of_kind(rendered(helm, "--set", "crds.install=false"), "CustomResourceDefinition")


def test_images_come_from_where_they_are_mirrored(helm: Program) -> None:
    documents = rendered(
        helm, "--set", "image.registry=mirror.example.com/ml,image.runtime.tag=1@sha256:abc"
    )
    (container,) = deployment(documents)["spec"]["template"]["spec"]["containers"]
    env = {variable["name"]: variable.get("value") for variable in container["env"]}
    version = yaml.safe_load((Path(CHART) / "Chart.yaml").read_text())["appVersion"]
    assert container["image"] == f"mirror.example.com/ml/modelfleet/operator:{version}"
    assert (
        env["MODELFLEET_RUNTIME_IMAGE"] == "mirror.example.com/ml/modelfleet/runtime:1@sha256:abc"
    )
    assert env["MODELFLEET_RUNTIME_TORCH_IMAGE"].endswith(f"modelfleet/runtime:{version}-torch")


def test_one_pod_needs_no_budget(helm: Program) -> None:
    """A budget for one pod alone would keep its node from being drained."""
    assert of_kind(rendered(helm), "PodDisruptionBudget")
    assert not of_kind(rendered(helm, "--set", "replicas=1"), "PodDisruptionBudget")


def test_the_operators_pod_keeps_to_the_restricted_level(
    helm: Program, kubectl: Program, namespace: str
) -> None:
    """`namespace` enforces the level, so that a pod below it is refused."""
    template = deployment(rendered(helm))["spec"]["template"]
    account = {
        "apiVersion": "v1",
        "kind": "ServiceAccount",
        "metadata": {"name": "operator", "namespace": namespace},
    }
    pod = {
        "apiVersion": "v1",
        "kind": "Pod",
        "metadata": {"name": "operator", "namespace": namespace},
        "spec": template["spec"] | {"serviceAccountName": "operator"},
    }
    kubectl("create", "-f", "-", stdin=json.dumps(account))
    kubectl("create", "--dry-run=server", "-f", "-", stdin=json.dumps(pod))
