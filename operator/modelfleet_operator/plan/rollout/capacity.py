"""How many pods does a share of the traffic need, and how much of it can so many pods carry?

The demand is counted in pods: as many as all of the traffic needs. Shares are parts of `WHOLE`.
"""

from modelfleet_operator.router.site import WHOLE


def needed(parts: int, demand: int) -> int:
    """The fewest pods with which a revision may have `parts` of the traffic."""
    return -(-parts * demand // WHOLE)


def carried(pods: int, demand: int) -> int:
    """The largest share that so many pods may have."""
    if pods <= 0:
        return 0
    return WHOLE if pods >= demand else pods * WHOLE // demand
