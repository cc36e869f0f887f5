"""Envoy Gateway on a cluster, to try and to test routing.mode Gateway with.

Its control plane is compiled from its Go module, as the parts of a cluster are; its proxies are the
Envoy of our own router image. So nothing but package registries is asked.
"""

from dev.gateway.install import CLASS, CONTROLLER, NAMESPACE, install

__all__ = ["CLASS", "CONTROLLER", "NAMESPACE", "install"]
