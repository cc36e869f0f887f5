"""What the API and everything that the operator makes is called."""

from typing import Final

GROUP: Final = "modelfleet.dev"
VERSION: Final = "v1alpha1"
KIND: Final = "ModelDeployment"
PLURAL: Final = "modeldeployments"
SINGULAR: Final = "modeldeployment"
SHORT_NAME: Final = "mdep"
API_VERSION: Final = f"{GROUP}/{VERSION}"

MANAGER: Final = "modelfleet"
"""Field manager of every server-side apply, and the value of `app.kubernetes.io/managed-by`."""

DEPLOYMENT: Final = f"{GROUP}/deployment"
VARIANT: Final = f"{GROUP}/variant"
REVISION: Final = f"{GROUP}/revision"
ROLE: Final = f"{GROUP}/role"
"""Tells the stable Service (`address`) from that of a preview and from a revision's own
(`revision`), what the routers are told (`routes`) and what a Gateway is (`gateway-route`)."""
ADDRESS: Final = "address"
PREVIEW: Final = "preview"
FEEDBACK: Final = "feedback"
ROUTES: Final = "routes"
GATEWAY_ROUTE: Final = "gateway-route"
PAUSE: Final = f"{GROUP}/pause"
PROMOTE: Final = f"{GROUP}/promote"
ABORT: Final = f"{GROUP}/abort"
RETRY: Final = f"{GROUP}/retry"
RESTART: Final = f"{GROUP}/restart"
"""Annotations by which people tell a rollout what to do; see `plan/verbs.py`."""
LEAVING: Final = f"{GROUP}/leaving-since"
"""Annotation on a resource's routing: when its address left the routers, which still serve those
who have not heard of it."""
GATEWAY: Final = f"{GROUP}/gateway"
"""Annotation on the stable Service: which Gateway leads to the same models. While it is there,
there may be routes of ours."""
SITE: Final = f"{GROUP}/site"
SHARES: Final = f"{GROUP}/shares"
"""Annotations on an HTTPRoute or a GRPCRoute: what its weights were made from."""
ROUTERS: Final = f"{GROUP}/routers"
"""Label on a resource's routing: the name of the pair of routers that it is for."""
REFUSED: Final = f"{GROUP}/refused"
"""Annotation on a resource's routing: why the routers are not given it."""

DEFAULT_VARIANT: Final = "default"
"""The variant's name where the resource names none."""

CONTAINER: Final = "model"
"""The container that serves, in every pod."""
FETCH_CONTAINER: Final = "fetch"
"""The init container that copies the model from its address, where it has to be copied."""

LONGEST_NAME: Final = 52
"""A revision is called NAME-HASH with ten characters after the dash, and names a Service (63)."""


SHARED_ROUTERS: Final = "modelfleet-router"
"""The name of the pair that a namespace's ModelDeployments share."""


def dedicated_routers(deployment: str) -> str:
    """The name of the pair of one ModelDeployment."""
    return f"{deployment}-router"


def owned_by(deployment: str) -> str:
    """The label selector that finds every child of one ModelDeployment."""
    return f"{DEPLOYMENT}={deployment}"


def routes() -> str:
    """The label selector that finds what the routers of a namespace are told."""
    return f"{ROLE}={ROUTES}"


def every_child() -> str:
    """The label selector that finds the children of all ModelDeployments."""
    return f"app.kubernetes.io/managed-by={MANAGER}"
