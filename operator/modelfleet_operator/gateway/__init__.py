"""A Gateway of the cluster (Gateway API) in place of our own routers. Pure.

`routes.py` says what it is told, `written.py` puts that into the standard channel's HTTPRoute and
GRPCRoute, and `observed.py` reads from them what was written and what the Gateway says of it.
"""
