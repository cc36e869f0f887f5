"""Where does a real Kubernetes come from, for the demo, the e2e tests and developers?

From here: ``python3 -m dev.cluster up`` prints the path of a kubeconfig, and
``Cluster.up("e2e")`` hands the same to a test. Three ways lead to it (see ``ways.py``): a
cluster that is there already, kind, or one node of our own that needs no Docker. The room
uses the standard library alone, because it starts before any virtual environment exists.

A reader's way through the own node, in the order things happen::

    host        may this machine run it at all?
    packages    what Debian gives              toolchain, build   what Go compiles
    addresses   which block of addresses       pki, configs       what is written down for it
    sandbox     the node seen from the host    init               the node seen from inside
    own         the steps of ``up``            addons             DNS and metrics on top
"""

from dev.cluster.cluster import Cluster
from dev.cluster.errors import Refused

__all__ = ["Cluster", "Refused"]
