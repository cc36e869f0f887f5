"""What was measured: every single figure, and the medians as rows."""

import json
import statistics
from collections import defaultdict
from dataclasses import asdict, dataclass
from pathlib import Path

from benchmarks.runtime.load import Load

FILE = Path(__file__).resolve().parent.parent / "results" / "runtime.json"
OURS = "modelfleet"


@dataclass(frozen=True)
class Key:
    server: str
    model: str
    protocol: str
    connections: int


@dataclass(frozen=True)
class Row:
    server: str
    model: str
    protocol: str
    connections: int
    rps: float
    p50_ms: float
    p99_ms: float
    errors: int
    pss_mb: float
    start_s: float


class Results:
    def __init__(self) -> None:
        self.loads: dict[Key, list[Load]] = defaultdict(list)
        self.pss: dict[tuple[str, str], float] = {}
        self.starts: dict[tuple[str, str], list[float]] = defaultdict(list)
        self.bare: dict[str, list[float]] = defaultdict(list)
        """Rows a second of the bare model in a loop, by model, once a round."""
        self.notes: list[str] = []

    def rows(self) -> list[Row]:
        made = []
        for key, loads in self.loads.items():
            where = key.server, key.model
            made.append(
                Row(
                    **asdict(key),
                    rps=round(statistics.median(load.rps for load in loads), 1),
                    p50_ms=round(statistics.median(load.p50_ms for load in loads), 3),
                    p99_ms=round(statistics.median(load.p99_ms for load in loads), 3),
                    errors=sum(load.errors for load in loads),
                    pss_mb=round(self.pss.get(where, 0.0), 1),
                    start_s=round(statistics.median(self.starts[where] or [0.0]), 2),
                )
            )
        return made

    def ratios(self, ours: Key, other: Key, figure: str = "rps") -> list[float]:
        """Ours over the other's, round by round, but for rounds in which the other did not answer.
        Where we did not, our requests/s are none and our latency is without end."""
        pairs = zip(self.loads.get(ours, []), self.loads.get(other, []), strict=False)
        missing = 0.0 if figure == "rps" else float("inf")
        return [
            getattr(a, figure) / getattr(b, figure) if a.rps else missing for a, b in pairs if b.rps
        ]

    def best(self, server: str, model: str, connections: int) -> Key | None:
        """The protocol by which it has the most requests/s; None where it was not measured."""
        keys = [
            key
            for key in self.loads
            if (key.server, key.model, key.connections) == (server, model, connections)
        ]
        if not keys:
            return None
        return max(keys, key=lambda key: statistics.median(load.rps for load in self.loads[key]))

    def write(self) -> None:
        FILE.parent.mkdir(parents=True, exist_ok=True)
        FILE.write_text(json.dumps([asdict(row) for row in self.rows()], indent=1) + "\n")
