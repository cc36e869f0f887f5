"""What the requests of one model are counted for, and how."""

from collections.abc import Sequence

from modelfleet_contract import CALLER_HEADER, ModelValue, bucket_of
from modelfleet_runtime.experiment.posted import Feedback
from modelfleet_runtime.experiment.returned import Returned
from modelfleet_runtime.experiment.tallies import Tallies
from modelfleet_runtime.metrics import Metrics

CALLER = CALLER_HEADER.encode()
Values = Sequence[tuple[str, float]]


class Experiment:
    """Of one model. Without values and feedback only requests with a caller are counted."""

    def __init__(
        self,
        name: str,
        metrics: Metrics,
        revision: str = "",
        values: Sequence[ModelValue] = (),
        feedback: Sequence[str] = (),
    ) -> None:
        """`name` is the deployment's; `revision` is empty without a cluster."""
        posted, missed = metrics.experiment([value.name for value in values], feedback)
        self.tallies = Tallies(revision or f"{name}-local", metrics.answers)
        self.returned = Returned(values, missed) if values else None
        self.feedback = Feedback(name, feedback, self.tallies, posted)
        self.gives_ids = bool(feedback)
        """Whether an answer has an id, under which values may be posted back."""
        self.counts_all = bool(values or feedback)
        """Whether there is something to do for a request without a caller too."""

    def answered(self, headers: dict[bytes, bytes], status: int, values: Values) -> int | None:
        """Count a request that was answered; its caller's bucket."""
        bucket = caller_of(headers)
        if bucket is not None:
            self.tallies.answered(bucket, status >= 500)
        if status == 200:
            for name, value in values:
                self.tallies.add(self.tallies.revision, name, value, bucket)
        return bucket


def caller_of(headers: dict[bytes, bytes]) -> int | None:
    """The bucket of who asks; None where the request does not say."""
    caller = headers.get(CALLER)
    return bucket_of(caller) if caller else None
