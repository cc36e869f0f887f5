"""What the routers are to know of one ModelDeployment: its `Site`, as a ConfigMap.

The routers do not read it. Whoever keeps the pair of the namespace (`pair.py`) makes their
configuration out of all of these, and writes here why one is not served.
"""

from collections.abc import Mapping
from datetime import datetime

from modelfleet_operator import kinds
from modelfleet_operator.api import labels
from modelfleet_operator.api.moments import written_time
from modelfleet_operator.children.common import child
from modelfleet_operator.router.site import Intervals, Site
from modelfleet_operator.router.written import (
    HOME_KEY,
    SHARES_KEY,
    SITE_KEY,
    write,
    write_line,
    write_shares,
)
from modelfleet_operator.seen import Json, Resource


def name_of(deployment: str) -> str:
    """No ModelDeployment can have such a child otherwise: a revision's has ten characters there."""
    return f"{deployment}-routes"


def build(
    resource: Resource,
    site: Site,
    shares: Mapping[str, Mapping[str, int]] | None = None,
    leaving: datetime | None = None,
    home: Intervals | None = None,
) -> Json:
    """`shares`: how each variant splits its share among its revisions. `leaving`: since when the
    address no longer selects the routers. `home`: the line as it is when no share is lent."""
    own = {
        "app.kubernetes.io/name": "modelfleet-runtime",
        "app.kubernetes.io/instance": resource.name,
        "app.kubernetes.io/component": "routing",
        "app.kubernetes.io/managed-by": labels.MANAGER,
        labels.DEPLOYMENT: resource.name,
        labels.ROLE: labels.ROUTES,
        labels.ROUTERS: site.routers,
    }
    data = {SITE_KEY: write(site), SHARES_KEY: write_shares(shares or {})}
    if home is not None:
        data[HOME_KEY] = write_line(home)
    body = {"data": data}
    made = child(kinds.CONFIG_MAP, resource, name_of(resource.name), own, body)
    if leaving is not None:
        made["metadata"]["annotations"] = {labels.LEAVING: written_time(leaving)}
    return made
