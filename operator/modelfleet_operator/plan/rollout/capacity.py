"""How many pods does a share of the traffic need, and how much of it can so many pods carry?

The demand is counted in pods: as many as all of the traffic needs. Shares are parts of `WHOLE`.
"""

from modelfleet_operator.router.site import WHOLE


def needed(parts: int, demand: int) -> int:
    """The fewest pods with which a revision may have `parts` of the traffic.

    Less than one part for each pod is the rounding of the other side: what is left when that has
    all that so many pods carry needs exactly the pods that are left.
    """
    if parts <= 0 or demand <= 0:
        return 0
    return -(-(parts * demand - (demand - 1)) // WHOLE)


def carried(pods: int, demand: int) -> int:
    """The largest share that so many pods may have."""
    if pods <= 0:
        return 0
    return WHOLE if pods >= demand else pods * WHOLE // demand


def lasting(demand: int, room: int) -> int:
    """Of `demand` pods, so many serve at any time while two revisions exchange theirs within
    `room` places: one place is always empty, on its way from the one to the other."""
    return max(1, min(demand, room - 1))
