"""A Prometheus in memory, which knows a number of each revision."""

from collections.abc import Callable, Iterable

from modelfleet_operator.cluster.prometheus import PrometheusApi
from modelfleet_operator.seen import Answer


class Answers(PrometheusApi):
    """Asked for `NUMBER REVISION`, as `load digits-x`."""

    def __init__(self, may_ask: Callable[[], bool]) -> None:
        super().__init__("http://in-memory")
        self._may_ask = may_ask
        self.values: dict[str, float] = {}
        """By expression."""
        self.asked = 0

    async def read(self, expressions: Iterable[str]) -> dict[str, Answer]:
        assert self._may_ask(), "nobody is asked but for a share that is served, after the warm-up"
        self.asked += 1
        return {each: self._answer(each) for each in expressions}

    def _answer(self, expression: str) -> Answer:
        if expression not in self.values:
            return Answer(unread="no series has a value at this moment")
        return Answer(self.values[expression])
