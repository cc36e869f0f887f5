"""Observed -> Plan. Pure: no client, no clock but the one in the picture, no logger.

    revisions     which revision is wanted, which serves, which are kept    (revisions.py)
    pod_template  what the pods of a new revision look like, for good       (pod_template.py)
    replicas      how many pods each may have, and who decides              (replicas.py)
    traffic       which revision the address selects                        (traffic.py)
    conditions    what is said about all that                               (conditions.py)
    events        what of it is news                                        (events.py)

`decide.py` calls them in the order in which they need each other's answers.
"""
