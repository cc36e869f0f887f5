"""Traffic -> Envoy's configuration; Envoy's counters -> what was observed. Pure: no I/O, no clock.

One pair of Envoy pods serves all ModelDeployments of a namespace. `site.py` is what goes in (one
`Site` for each ModelDeployment), `files.py` what comes out, `observed.py` reads what the pair says
of itself, and `pod.py` is the pair as objects of the cluster.
"""
