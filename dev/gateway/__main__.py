"""`python3 -m dev.gateway`: installs Envoy Gateway into a cluster of `dev.cluster` that is up."""

import argparse
import os
import sys
from collections.abc import Sequence

from dev import cluster as cluster_room
from dev import images as image_room
from dev import install as operator
from dev.cluster import Cluster
from dev.commands import Failed
from dev.gateway import CLASS, install
from dev.images import build


def main(argv: Sequence[str] | None = None) -> int:
    parser = argparse.ArgumentParser(prog="python3 -m dev.gateway", description=__doc__)
    parser.add_argument(
        "--name",
        default=os.environ.get("CLUSTER_NAME") or "dev",
        help="which cluster (default: $CLUSTER_NAME, else dev)",
    )
    name = parser.parse_args(argv).name
    try:
        cluster = Cluster.find(name)
        if cluster is None:
            raise Failed(f"the cluster {name!r} is not up: make cluster-up NAME={name}")
        images = operator.place(cluster, build(os.environ.get("FLAVOR", "onnx")))
        tools = operator.Tools(cluster.kubectl, cluster.helm, cluster.kubeconfig)
        install(cluster, tools, images.router)
    except (Failed, cluster_room.Refused, image_room.Refused) as problem:
        print(f"dev.gateway: {problem}", file=sys.stderr)
        return 1
    print(f"Envoy Gateway is up; its GatewayClass is called {CLASS}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
