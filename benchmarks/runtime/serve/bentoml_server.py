from __future__ import annotations

import bentoml
from common import MAX_BATCH, Model, from_json


@bentoml.service(
    workers=1,
    traffic={"timeout": 60, "max_concurrency": 1024},
    metrics={"enabled": False},
    logging={"access": {"enabled": False}},
)
class Bench:
    def __init__(self):
        self.model = Model()

    @bentoml.api(batchable=True, max_batch_size=MAX_BATCH, max_latency_ms=60000)
    def predict(self, items: list[dict]) -> list[list[float]]:
        return [row.ravel().tolist() for row in self.model.run([from_json(i) for i in items])]
