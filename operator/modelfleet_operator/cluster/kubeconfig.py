"""The cluster that a person means: chosen as `kubectl` chooses it."""

import os
from pathlib import Path
from typing import Final

import yaml
from kubernetes.aio.client.api_client import ApiClient
from kubernetes.aio.client.configuration import Configuration
from kubernetes.aio.config.config_exception import ConfigException
from kubernetes.aio.config.incluster_config import load_incluster_config
from kubernetes.aio.config.kube_config import load_kube_config

from modelfleet_operator.cluster.api import KubeApi
from modelfleet_operator.cluster.errors import Unavailable

_SERVICE_ACCOUNT: Final = Path("/var/run/secrets/kubernetes.io/serviceaccount")
_DEFAULT_NAMESPACE: Final = "default"


class NoCluster(Unavailable):
    """Nothing says where the cluster is, or how to speak to it."""


async def connect(kubeconfig: str | None, context: str | None, manager: str) -> tuple[KubeApi, str]:
    """A connection, and the namespace that is meant where none is named.

    `kubeconfig` (default: KUBECONFIG, then ~/.kube/config) and `context` (default: the current
    one) are as for kubectl. Inside a pod without a kubeconfig, its service account is used.
    Raises `NoCluster`.
    """
    configuration = Configuration()
    configuration.retries = None  # False counts as 0 attempts, and those never end
    files = kubeconfig or os.environ.get("KUBECONFIG") or "~/.kube/config"
    there = any(map(os.path.isfile, map(os.path.expanduser, files.split(os.pathsep))))
    try:
        if there:
            loader = await load_kube_config(files, context, configuration)
            chosen = loader.current_context.get("context") or {}
            namespace = chosen.get("namespace") or _DEFAULT_NAMESPACE
        elif kubeconfig is None and context is None and (_SERVICE_ACCOUNT / "token").is_file():
            load_incluster_config(client_configuration=configuration)
            namespace = (_SERVICE_ACCOUNT / "namespace").read_text().strip()
        else:
            raise NoCluster(
                f"there is no kubeconfig at {files}: name one with --kubeconfig, or in KUBECONFIG"
            )
    except ConfigException as error:
        which = f" (context {context})" if context else ""
        raise NoCluster(f"the kubeconfig {files}{which} cannot be used: {_clean(error)}") from error
    except (OSError, yaml.YAMLError, AttributeError, TypeError) as error:
        raise NoCluster(f"the kubeconfig {files} cannot be read: {_clean(error)}") from error
    return KubeApi(ApiClient(configuration), manager), namespace


def _clean(error: Exception) -> str:
    return " ".join(str(error).split()) or type(error).__name__
