import sys
import time

import ray
from common import MAX_BATCH, Model, from_bytes
from ray import serve
from starlette.requests import Request
from starlette.responses import Response


@serve.deployment(num_replicas=1, max_ongoing_requests=512, ray_actor_options={"num_cpus": 1})
class Bench:
    def __init__(self):
        self.model = Model()

    @serve.batch(max_batch_size=MAX_BATCH, batch_wait_timeout_s=0.001)
    async def run(self, bodies):
        return self.model.run([from_bytes(body) for body in bodies])

    async def __call__(self, request: Request):
        return Response((await self.run(await request.body())).tobytes())


if __name__ == "__main__":
    ray.init(
        num_cpus=2,
        include_dashboard=False,
        logging_level="error",
        object_store_memory=100 * 1024 * 1024,
    )
    serve.start(http_options={"host": "127.0.0.1", "port": int(sys.argv[1])})
    serve.run(Bench.bind(), name="bench")
    while True:
        time.sleep(3600)
