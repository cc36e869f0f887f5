"""`python3 -m dev.demo up | down`: the demo, a step at a time, saying what it does."""

import argparse
import os
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager

from dev import cluster as cluster_room
from dev import images as image_room
from dev import install, prepare
from dev.cluster import Cluster
from dev.cluster.cluster import down as stop_cluster
from dev.commands import Failed, run
from dev.demo import digits
from dev.images import build

NAME = "demo"
NAMESPACE = "demo"
WAY_OUT = "`make demo` goes on from here; `make demo-down` takes away whatever is up."


def main(argv: Sequence[str] | None = None) -> int:
    parser = argparse.ArgumentParser(
        prog="python3 -m dev.demo",
        description="A real Kubernetes, the operator, and a trained model that answers.",
    )
    verbs = parser.add_subparsers(required=True, metavar="VERB")
    verbs.add_parser("up", help="start it, or bring it up to date").set_defaults(run=up)
    verbs.add_parser("down", help="take it away").set_defaults(run=down)
    action: Callable[[], int] = parser.parse_args(argv).run
    try:
        return action()
    except (Failed, cluster_room.Refused, image_room.Refused) as problem:
        print(f"\ndemo: {problem}\n{WAY_OUT}", file=sys.stderr)
        return 1
    except KeyboardInterrupt:
        print(f"\ndemo: interrupted. {WAY_OUT}", file=sys.stderr)
        return 130


def up() -> int:
    started = time.monotonic()
    print(
        "modelfleet demo. The first time takes about 20 minutes on 2 cores, because Kubernetes is\n"
        "compiled and images are built; after that it takes about 1 minute.\n"
    )
    flavor = os.environ.get("FLAVOR", "onnx")
    if prepare.main(["--flavor", flavor]) != 0:
        return 1
    images = build(flavor)
    with step("starting Kubernetes"):
        cluster = Cluster.up(NAME)
    tools = install.Tools(cluster.kubectl, cluster.helm, cluster.kubeconfig)
    with step("loading the images into it"):
        images = install.place(cluster, images)
    with step("installing the operator with helm"):
        install.install(tools, images)
    with step("applying examples/digits, and waiting for the model to be Ready"):
        _namespace(tools)
        digits.serve(tools, NAMESPACE, images.runtime.reference)
    with step("reading the held-out digits from inside the cluster"):
        printed = digits.evaluate(tools, NAMESPACE, images.runtime.reference)
    print(f"\n{printed}")
    print(_state(tools))
    print(_what_next(cluster, tools))
    print(f"Done in {_minutes(time.monotonic() - started)}.")
    return 0


def down() -> int:
    with step("stopping the demo's cluster"):
        cluster = Cluster.find(NAME)
        if cluster is not None and cluster.way == "existing":
            tools = install.Tools(cluster.kubectl, cluster.helm, cluster.kubeconfig)
            run(tools.kubectl_command("delete", "namespace", NAMESPACE, "--ignore-not-found"))
            release = [install.RELEASE, "--namespace", install.NAMESPACE, "--ignore-not-found"]
            run(tools.helm_command("uninstall", *release))
            print("  the CRD stays: other ModelDeployments may need it")
        else:
            stop_cluster(NAME)
    return 0


def _namespace(tools: install.Tools) -> None:
    """With Pod Security at its strictest, because that is what models have to live with."""
    manifest = (
        f'{{"apiVersion": "v1", "kind": "Namespace", "metadata": {{"name": "{NAMESPACE}", '
        '"labels": {"pod-security.kubernetes.io/enforce": "restricted"}}}'
    )
    run(tools.kubectl_command("apply", "--filename", "-"), stdin=manifest)


def _state(tools: install.Tools) -> str:
    kubectl = tools.kubectl_command("--namespace", NAMESPACE)
    return run([*kubectl, "get", "modeldeployment.modelfleet.dev,deployment,service,pod"])


def _what_next(cluster: Cluster, tools: install.Tools) -> str:
    kubectl = tools.kubectl_command("--namespace", NAMESPACE)
    url = run([*kubectl, "get", "mdep", "digits", "-o", "jsonpath={.status.url}"])
    address = run([*kubectl, "get", "service", "digits", "-o", "jsonpath={.spec.clusterIP}"])
    from_here = f"http://{address}"
    before = ""
    if cluster.way != "own":
        from_here = "http://localhost:8080"
        before = "  kubectl port-forward service/digits 8080:80 --namespace demo &\n"
    pixels = "0,0,5,13,9,1,0,0,0,0,13,15,10,15,5,0,0,3,15,2,0,11,8,0,0,4,12,0,0,8,8,0,"
    pixels += "0,5,8,0,0,9,8,0,0,4,11,0,1,12,7,0,0,2,14,5,10,12,0,0,0,0,6,13,10,0,0,0"
    return f"""\
The model's address inside the cluster is {url}. From here:

{before}  curl {from_here}/predict -H 'content-type: application/json' -d '{{"inputs": [{pixels}]}}'

  curl {from_here}/v2/models/digits         what it takes and gives
  curl {from_here}/openapi.json             all that it answers; /docs is the same in a browser

To look around, and to roll out the second version of the model:

  export KUBECONFIG={cluster.kubeconfig}
  export PATH={cluster.kubectl.parent}:$PATH
  kubectl get mdep --namespace {NAMESPACE} --watch
  kubectl explain mdep.spec
  kubectl patch mdep digits --namespace {NAMESPACE} --type merge --patch-file \\
      examples/digits/kubernetes/version-2.yaml

make demo-down takes it all away again.
"""


@contextmanager
def step(what: str) -> Iterator[None]:
    """Says what is being done, and how long it took."""
    print(f"- {what}", flush=True)
    started = time.monotonic()
    yield
    print(f"  done in {time.monotonic() - started:.0f} s", flush=True)


def _minutes(seconds: float) -> str:
    whole = round(seconds)
    return f"{whole // 60} min {whole % 60} s" if whole >= 60 else f"{whole} s"


if __name__ == "__main__":
    sys.exit(main())
