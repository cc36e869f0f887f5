"""What can be asked of the tool? One function a verb; answers on stdout, the rest on stderr."""

import argparse
import os
import sys
from collections.abc import Callable
from pathlib import Path

from dev.cluster import build, own, ways
from dev.cluster.cluster import Cluster, down
from dev.cluster.errors import Refused
from dev.cluster.folders import all_clusters, cluster_folder
from dev.cluster.say import say

_ABOUT = """\
A real Kubernetes for the demo, the e2e tests and developers.

  python3 -m dev.cluster up                     start one; prints its kubeconfig's path
  export KUBECONFIG=$(python3 -m dev.cluster kubeconfig)
  export PATH=$(python3 -m dev.cluster bin):$PATH    kubectl and helm
  python3 -m dev.cluster load image.tar         make an image known to it
  python3 -m dev.cluster down                   stop it; nothing is left behind

The first start compiles Kubernetes (about 16 minutes with two cores) and keeps the result in
$XDG_CACHE_HOME/modelfleet (default ~/.cache/modelfleet); later starts take about 15 seconds.
"""

_ENVIRONMENT = """\
environment:
  CLUSTER_NAME         the default of --name; clusters of different names stand side by side
  CLUSTER=existing     use the cluster of KUBECONFIG; images go to REGISTRY, which must be given
  CLUSTER=kind         use kind and Docker (the default where both answer)
  CLUSTER=own          one node without Docker: Linux, root (the default otherwise)
  KUBEBUILDER_ASSETS   a folder whose etcd, kube-apiserver and kubectl are used where they serve
  XDG_CACHE_HOME       where everything is kept

docs/cluster.md says how it works.
"""


def main(arguments: list[str]) -> int:
    options = _parser().parse_args(arguments)
    run: Callable[[argparse.Namespace], int] = options.run
    try:
        return run(options)
    except Refused as refused:
        say(f"dev.cluster: {refused}")
        return 1
    except OSError as error:
        # A full disk, or a folder that is somebody else's: the name says which.
        say(f"dev.cluster: {error}")
        return 1
    except KeyboardInterrupt:
        say("dev.cluster: interrupted")
        return 130


def _parser() -> argparse.ArgumentParser:
    raw = argparse.RawDescriptionHelpFormatter
    parser = argparse.ArgumentParser(
        "python3 -m dev.cluster", description=_ABOUT, epilog=_ENVIRONMENT, formatter_class=raw
    )
    verbs = parser.add_subparsers(metavar="VERB", required=True)

    def verb(
        name: str, run: Callable[[argparse.Namespace], int], about: str
    ) -> argparse.ArgumentParser:
        added = verbs.add_parser(name, help=about, description=about)
        added.set_defaults(run=run)
        added.add_argument(
            "--name",
            default=os.environ.get("CLUSTER_NAME") or "dev",
            help="which cluster (default: $CLUSTER_NAME, else dev)",
        )
        return added

    verb("up", _up, "start the cluster, or find it up; prints its kubeconfig's path")
    verb("down", _down, "stop it; safe to repeat")
    verb("status", _status, "say which clusters are up")
    verb("kubeconfig", _kubeconfig, "print its kubeconfig's path; fails when it is not up")
    parts = verb("parts", _parts, "compile and cache what a cluster is made of, and start none")
    parts.add_argument("--gateway", action="store_true", help="and Envoy Gateway (dev.gateway)")
    logs = verb("logs", _logs, "keep events, logs and the state of all resources in a folder")
    logs.add_argument("--to", type=Path, required=True, metavar="FOLDER")
    load = verb("load", _load, "make the images of OCI archives known to the cluster")
    load.add_argument("archives", type=Path, nargs="+", metavar="IMAGE_ARCHIVE")
    verb("bin", _bin, "print the folder that holds kubectl and helm")
    return parser


def _up(options: argparse.Namespace) -> int:
    print(Cluster.up(options.name).kubeconfig)
    return 0


def _down(options: argparse.Namespace) -> int:
    down(options.name)
    say(f"cluster {options.name} is down")
    return 0


def _status(options: argparse.Namespace) -> int:
    known = {folder.name for folder in all_clusters() if ways.remembered(folder).exists()}
    for name in sorted(known | {options.name}):
        try:
            found = Cluster.find(name)
        except Refused as refused:
            print(f"{name}: unknown; {refused}")
            continue
        if found:
            print(f"{name}: up ({found.way}), kubeconfig {found.kubeconfig}")
        else:
            print(f"{name}: down")
    return 0


def _kubeconfig(options: argparse.Namespace) -> int:
    print(_found(options.name).kubeconfig)
    return 0


def _parts(options: argparse.Namespace) -> int:
    print(own.prepare(*([build.ENVOY_GATEWAY] if options.gateway else [])))
    return 0


def _logs(options: argparse.Namespace) -> int:
    _found(options.name).collect(options.to)
    say(f"kept in {options.to.absolute()}")
    return 0


def _load(options: argparse.Namespace) -> int:
    absent = [str(archive) for archive in options.archives if not archive.is_file()]
    if absent:
        raise Refused(f"no such file: {', '.join(absent)}.")
    folder = cluster_folder(options.name)
    ways.WAYS[ways.of(folder)].load(folder, options.archives)
    return 0


def _bin(options: argparse.Namespace) -> int:
    print(build.ensure())
    return 0


def _found(name: str) -> Cluster:
    found = Cluster.find(name)
    if found is None:
        raise Refused(f"the cluster {name!r} is not up: python3 -m dev.cluster up --name {name}")
    return found


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
