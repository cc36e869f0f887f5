"""What is counted, under which names. No label's value comes from a client.

docs/metrics.md says the same to who reads the numbers, and a test compares the two.
"""

from collections.abc import Sequence

from prometheus_client import CollectorRegistry, generate_latest
from prometheus_client.openmetrics.exposition import CONTENT_TYPE_LATEST as OPENMETRICS
from prometheus_client.openmetrics.exposition import generate_latest as generate_openmetrics
from prometheus_client.process_collector import ProcessCollector

from modelfleet_runtime.counting import Counter, Families, Family, Gauge, Histogram
from modelfleet_runtime.errors import Limit
from modelfleet_runtime.gpus import Gpu

TEXT = "text/plain; version=0.0.4; charset=utf-8"

# From a run on the loop (0.1 ms) to the longest usual timeout (60 s).
SECONDS = (
    0.0001, 0.0002, 0.0005, 0.001, 0.002, 0.005, 0.01, 0.02, 0.05,
    0.1, 0.2, 0.5, 1.0, 2.0, 5.0, 10.0, 20.0, 60.0,
)  # fmt: skip
ROWS = (1, 2, 4, 8, 16, 32, 64, 128, 256, 512, 1024, 4096)
OWN, OTHER = "own", "other"
"""Whether values were posted for the revision that is served here."""
CLIENT_LEFT = 499
KNOWN_STATUSES = (200, 400, 404, 405, 408, 413, 415, 499, 500, 503, 504)


class Metrics:
    """The numbers of one model. A registry of its own, so that tests can have many."""

    def __init__(self, model_name: str) -> None:
        self.registry = CollectorRegistry()
        self._families = Families()
        self.registry.register(self._families)
        ProcessCollector(registry=self.registry)
        self._name = model_name
        self._statuses = {status: Counter() for status in KNOWN_STATUSES}
        self._families.add(
            Family(
                "inference_requests",
                "Inference requests answered, by HTTP status (499: the client left)",
                ("model_name", "status"),
                {(model_name, str(status)): one for status, one in self._statuses.items()},
            )
        )
        self.errors = self._counter(
            "inference_errors",
            "Inference requests that failed through no fault of the client (status 500 and above)",
        )
        self.latency = self._histogram(
            "inference_latency_seconds",
            "From a request's arrival to its answer, whatever the status",
            SECONDS,
        )
        self.in_progress = self._gauge(
            "inference_in_progress", "Inference requests that have arrived and are not answered"
        )
        self.queue_depth = self._gauge("inference_queue_requests", "Requests that wait for a batch")
        self.queue_bytes = self._gauge(
            "inference_queue_bytes", "Bytes of the tensors of the requests that wait for a batch"
        )
        self.queue_seconds = self._histogram(
            "inference_queue_seconds",
            "How long the first rows of a request waited for their batch",
            SECONDS,
        )
        self.engine_seconds = self._histogram(
            "inference_engine_seconds",
            "How long one batch took in the engine, retries of its members included",
            SECONDS,
        )
        self.batch_rows = self._histogram("inference_batch_rows", "Rows in one batch", ROWS)
        self.rows = self._counter("inference_rows", "Rows that went through the engine")
        self.padded_values = self._counter(
            "inference_padded_values", "Values added to rows so that they fit into one batch"
        )
        self.batch_failures = self._counter(
            "inference_batch_failures",
            "Batches of several requests that failed as a whole and were run again in parts",
        )
        self.out_of_memory = self._counter(
            "inference_out_of_memory", "Runs that failed because the engine had no memory for them"
        )
        self.deadlines_passed = self._counter(
            "inference_deadlines_passed",
            "Requests whose time was over in the queue or in the engine",
        )
        self.clients_left = self._counter(
            "inference_clients_left", "Requests whose client hung up or cancelled while they waited"
        )
        self._limits = {limit: Counter() for limit in Limit}
        self._families.add(
            Family(
                "inference_limit_refusals",
                "Requests and connections that were refused because they went beyond a bound",
                ("model_name", "limit"),
                {(model_name, limit.value): one for limit, one in self._limits.items()},
            )
        )
        self.connections = self._gauge("inference_connections", "Open HTTP connections")
        self.ready = self._gauge(
            "inference_ready", "1 when the model is loaded, warmed up and not draining"
        )

    def _counter(self, name: str, text: str) -> Counter:
        made = Counter()
        self._families.add(Family(name, text, ("model_name",), {(self._name,): made}))
        return made

    def _gauge(self, name: str, text: str) -> Gauge:
        made = Gauge()
        self._families.add(Family(name, text, ("model_name",), {(self._name,): made}))
        return made

    def _histogram(self, name: str, text: str, buckets: tuple[float, ...]) -> Histogram:
        made = Histogram(buckets)
        self._families.add(Family(name, text, ("model_name",), {(self._name,): made}))
        return made

    def model(self, name: str, version: str, platform: str) -> None:
        """Which model is served, as a series whose value is 1."""
        info = Gauge()
        info.set(1)
        self._families.add(
            Family(
                "inference_model_info",
                "The model that is served",
                ("model_name", "version", "format"),
                {(name, version, platform): info},
            )
        )

    def devices(self, gpus: Sequence[Gpu]) -> None:
        """The memory of the devices that compute; how much is used is asked at each scrape."""
        series: dict[tuple[str, ...], Gauge] = {}
        for gpu in gpus:
            used, total = Gauge(), Gauge()
            used.set_function(gpu.used)
            total.set(gpu.total)
            series[self._name, gpu.name, "used"] = used
            series[self._name, gpu.name, "total"] = total
        if series:
            self._families.add(
                Family(
                    "inference_device_memory_bytes",
                    "Memory of the device that computes",
                    ("model_name", "device", "kind"),
                    series,
                )
            )

    def experiment(
        self, values: Sequence[str], feedback: Sequence[str]
    ) -> tuple[dict[tuple[str, str], Counter], dict[str, Counter]]:
        """The counters of posted values, by name and by whose revision it is, and those of values
        that an answer did not have, by name."""
        posted = {(name, whose): Counter() for name in feedback for whose in (OWN, OTHER)}
        missed = {name: Counter() for name in values}
        if posted:
            self._families.add(
                Family(
                    "inference_feedback",
                    "Values that were posted back to requests, of this revision or of others",
                    ("model_name", "name", "revision"),
                    {(self._name, *key): counter for key, counter in posted.items()},
                )
            )
        if missed:
            self._families.add(
                Family(
                    "inference_values_missed",
                    "Answers from whose outputs a value could not be taken",
                    ("model_name", "name"),
                    {(self._name, name): counter for name, counter in missed.items()},
                )
            )
        return posted, missed

    def answers(self) -> tuple[int, int]:
        """How many requests were answered (whose client did not leave), and how many of those with
        500 and above."""
        heard = [one.value for status, one in self._statuses.items() if status != CLIENT_LEFT]
        return round(sum(heard)), round(self.errors.value)

    def answered(self, status: int, seconds: float) -> None:
        """One request was answered (or its client left, 499)."""
        counter = self._statuses.get(status)
        if counter is None:
            counter = self._statuses[500 if status >= 500 else 400]
        counter.value += 1
        if status >= 500:
            self.errors.value += 1
        self.latency.observe(seconds)

    def limited(self, limit: Limit) -> None:
        """Something was refused because it went beyond that bound."""
        self._limits[limit].value += 1

    def exposition(self, accept: str = "") -> tuple[str, bytes]:
        """Content-Type and body for a scrape; OpenMetrics where the scraper asks for it."""
        if "application/openmetrics-text" in accept:
            page: bytes = generate_openmetrics(self.registry)  # type: ignore[no-untyped-call]
            return OPENMETRICS, page
        return TEXT, generate_latest(self.registry)
