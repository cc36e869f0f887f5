"""What every transport needs to answer an inference: which routes there are, and their bounds."""

from collections.abc import Mapping
from dataclasses import dataclass
from urllib.parse import unquote

from modelfleet_runtime.aside import Aside
from modelfleet_runtime.errors import MethodNotAllowed, Refusal
from modelfleet_runtime.experiment.experiment import Experiment
from modelfleet_runtime.incoming import Bodies
from modelfleet_runtime.life import Life
from modelfleet_runtime.limits import RequestLimits
from modelfleet_runtime.logs import Throttle
from modelfleet_runtime.metrics import Metrics
from modelfleet_runtime.protocols.message import Answer, Endpoint, Incoming, InPlace, Refuse
from modelfleet_runtime.protocols.oip import routes as oip
from modelfleet_runtime.protocols.raw import Dialect, Page
from modelfleet_runtime.protocols.simple import routes as simple
from modelfleet_runtime.protocols.torchserve import routes as torchserve
from modelfleet_runtime.statistics import Statistics
from modelfleet_runtime.tracing import Tracing


def _never(_: Incoming) -> bool:
    return False


@dataclass(frozen=True, slots=True)
class Route:
    """One inference route."""

    path: str
    endpoint: Endpoint | None
    """None for the inference of a model that this server does not have."""
    refuse: Refuse
    in_place: InPlace = _never
    methods: tuple[str, ...] = ("POST",)
    inflates: bool = True
    """Whether a body's Content-Encoding is undone before the endpoint has it."""


class Service:
    """The inference routes of one model. Make it inside the running loop."""

    def __init__(
        self,
        name: str,
        version: str,
        life: Life,
        metrics: Metrics,
        timeout: float,
        limits: RequestLimits,
        access_log: bool = False,
        tracing: Tracing | None = None,
        experiment: Experiment | None = None,
    ) -> None:
        """`timeout` in seconds."""
        self.name = name
        self.version = version
        self.life = life
        self.metrics = metrics
        self.timeout = timeout
        self.limits = limits
        self.bodies = Bodies(limits)
        self.aside = Aside(self.bodies)
        self.statistics = Statistics()
        self.access_log = access_log
        self.tracing = tracing
        self.experiment = experiment or Experiment(name, metrics)
        self.refusals_told = Throttle()
        self.oip = oip.OipRoutes(name, version)
        self.torchserve = torchserve.TorchServeRoutes(name, version, metrics)
        life.on_change.append(self._show_figures)
        self._show_figures()
        plain = simple.SimpleRoutes(name, version)
        routes = [
            Route(simple.PREDICT, plain.predict, simple.refuse),
            Route(simple.PREDICT_BATCH, plain.predict_batch, simple.refuse),
            *(
                Route(path, self.oip.infer, oip.refuse, self.oip.in_place)
                for path in self.oip.infer_paths()
            ),
        ]
        self._routes = {route.path: route for route in routes}
        self.targets = {route.path.encode(): route for route in routes}
        """By request target, for those that are written as clients nearly always write them."""
        self._asked: dict[str, Route] = {}
        self.pages: Mapping[str, Page] = {}
        """What a package's own protocol answers without its functions."""
        self.refuse: Refuse = simple.refuse
        """Words a refusal of what is no inference."""

    def speak(self, dialect: Dialect) -> None:
        """The package's own protocol, in the place of ours where both have a route."""
        self._asked = {
            path: Route(
                path,
                dialect.endpoint,
                dialect.refuse,
                methods=methods,
                inflates=dialect.inflates,
            )
            for path, methods in dialect.asked.items()
        }
        self.pages = dialect.pages
        self.refuse = dialect.refuse
        for path in (*self._asked, *self.pages):
            self._routes.pop(path, None)
            self.targets.pop(path.encode(), None)

    def route_of_package(self, path: str) -> Route | None:
        """Of the package's own protocol. `path` is decoded, without a query."""
        return self._asked.get(path)

    def _show_figures(self) -> None:
        served = self.life.served
        if served is not None and served.archive is not None:
            self.torchserve.figures.show()

    def route(self, path: str) -> Route | None:
        """`path` is decoded, without a query."""
        found = self._routes.get(path)
        if found is None and self.oip.is_infer(path):
            return Route(path, None, oip.refuse)
        if found is None and path.startswith(torchserve.PREFIXES):
            return self._torchserve_route(path)
        return found

    def _torchserve_route(self, path: str) -> Route | None:
        """None where the model is known to be of another kind."""
        served = self.life.served
        if served is not None and served.archive is None:
            return None
        call = self.torchserve.call(path)
        if call is None:
            return None
        return Route(path, call.endpoint, call.refuse, methods=torchserve.METHODS)

    def route_of_target(self, target: bytes) -> Route | None:
        """As `route`, of a target in origin form as it stands in the request."""
        path = target.partition(b"?")[0]
        if not path.startswith(b"/") or not path.isascii():
            return None
        return self.route(unquote(path.decode("ascii")))


def refused(route: Route, refusal: Refusal) -> Answer:
    """The refusal as the route's protocol words it, with the headers that HTTP has for it."""
    answer = route.refuse(refusal)
    headers = list(answer.headers)
    if refusal.retry_after is not None:
        headers.append((b"retry-after", b"%d" % refusal.retry_after))
    if isinstance(refusal, MethodNotAllowed):
        headers.append((b"allow", refusal.allowed.encode()))
    return Answer(answer.status, headers, answer.body)
