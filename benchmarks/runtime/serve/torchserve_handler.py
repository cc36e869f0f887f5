import os
import sys

sys.path.insert(0, os.environ["BENCH_CODE"])
from common import Model, from_bytes


class Handler:
    def __init__(self):
        self.initialized = False

    def initialize(self, context):
        self.model = Model()
        self.initialized = True

    def handle(self, data, context):
        bodies = [bytes(row.get("body") or row.get("data")) for row in data]
        return [out.tobytes() for out in self.model.run([from_bytes(body) for body in bodies])]
