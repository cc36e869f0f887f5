"""Installs Envoy Gateway with its own chart, and the Gateway API's standard channel."""

import json
import string
from pathlib import Path
from typing import Any, Final

import yaml

from dev.cluster import Cluster, build, oci
from dev.cluster.files import locked
from dev.cluster.folders import cache
from dev.commands import run
from dev.images import Image
from dev.install import Tools

RELEASE: Final = "envoy-gateway"
NAMESPACE: Final = "envoy-gateway-system"
CLASS: Final = "envoy"
"""The GatewayClass that is there afterwards."""
CONTROLLER: Final = "gateway.envoyproxy.io/gatewayclass-controller"

_IMAGE: Final = "localhost/modelfleet/envoy-gateway:dev"
_PROGRAM: Final = "/usr/bin/envoy-gateway"


def install(cluster: Cluster, tools: Tools, router: Image) -> None:
    """`router`: the image whose Envoy the Gateways run, known to the cluster already.

    Raises `commands.Failed` and `dev.cluster.Refused`.
    """
    build.ensure(build.ENVOY_GATEWAY)
    part = build.part_folder(build.ENVOY_GATEWAY)
    cluster.load([_archive()])
    crds = run(
        [
            str(tools.helm), "template", "crds", str(part / "charts" / "gateway-crds-helm"),
            "--set", "crds.gatewayAPI.enabled=true,crds.gatewayAPI.channel=standard",
            "--set", "crds.envoyGateway.enabled=true",
        ]
    )  # fmt: skip
    # They are larger than what the other kind of apply keeps in an annotation.
    run(tools.kubectl_command("apply", "--server-side", "--force-conflicts", "-f", "-"), stdin=crds)
    chart = part / "charts" / "gateway-helm"
    run(
        tools.helm_command(
            "upgrade", "--install", RELEASE, str(chart), "--skip-crds",
            "--namespace", NAMESPACE, "--create-namespace",
            "--values", "-", "--wait", "--timeout", "3m",
        ),
        stdin=yaml.safe_dump(_values((chart / "values.tmpl.yaml").read_text())),
    )  # fmt: skip
    run(tools.kubectl_command("apply", "-f", "-"), stdin=json.dumps(_class(router)))


def _archive() -> Path:
    packed = cache() / "images" / f"envoy-gateway-{build.part_key(build.ENVOY_GATEWAY)}.tar"
    if not packed.exists():
        with locked(cache() / "images" / ".lock", "another start packs images"):
            binary = build.part_folder(build.ENVOY_GATEWAY) / "envoy-gateway"
            image = oci.Image(_IMAGE, {_PROGRAM: binary}, entrypoint=[_PROGRAM])
            oci.write(image, packed)
    return packed


def _values(template: str) -> dict[str, Any]:
    """The chart's own, which in its module still have their holes, and ours."""
    filled = string.Template(template).safe_substitute(
        GatewayImage=_IMAGE, GatewayImagePullPolicy="Never"
    )
    values: dict[str, Any] = yaml.safe_load(filled)
    values["crds"]["enabled"] = False
    values["topologyInjector"]["enabled"] = False
    values["config"]["envoyGateway"]["provider"] = {
        "type": "Kubernetes",
        "kubernetes": {"shutdownManager": {"image": _IMAGE}},
    }
    return values


def _class(router: Image) -> dict[str, Any]:
    """Gateways of the class get addresses of the cluster's own: there is nobody here who gives out
    others."""
    proxies = {"namespace": NAMESPACE, "name": CLASS}
    return {
        "apiVersion": "v1",
        "kind": "List",
        "items": [
            {
                "apiVersion": "gateway.envoyproxy.io/v1alpha1",
                "kind": "EnvoyProxy",
                "metadata": proxies,
                "spec": {
                    "provider": {
                        "type": "Kubernetes",
                        "kubernetes": {
                            "envoyService": {"type": "ClusterIP"},
                            "envoyDeployment": {"container": {"image": router.reference}},
                        },
                    }
                },
            },
            {
                "apiVersion": "gateway.networking.k8s.io/v1",
                "kind": "GatewayClass",
                "metadata": {"name": CLASS},
                "spec": {
                    "controllerName": CONTROLLER,
                    "parametersRef": {
                        "group": "gateway.envoyproxy.io",
                        "kind": "EnvoyProxy",
                        **proxies,
                    },
                },
            },
        ],
    }
