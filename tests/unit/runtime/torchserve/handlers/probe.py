"""A handler that does what the header x-do says; it needs nothing but `ts`."""

import os
import sys
import time

from ts.utils.util import PredictionException


class Probe:
    def initialize(self, context):
        self.context = context
        self.config = context.model_yaml_config

    def handle(self, data, context):
        do = context.get_request_header(0, "x-do") or "echo"
        return getattr(self, do.partition(":")[0].replace("-", "_"))(data, do.partition(":")[2])

    # -- what a row looks like

    def echo(self, data, _):
        return [
            {key: [type(value).__name__, repr(value)] for key, value in row.items()} for row in data
        ]

    def header(self, data, name):
        return [{"value": self.context.get_request_header(i, name)} for i in range(len(data))]

    def about(self, data, _):
        context = self.context
        known = context.system_properties
        return [
            {
                "name": context.model_name,
                "id": type(context.get_request_id(0)).__name__,
                "properties": sorted(known),
                "batch": known["batch_size"],
                "server": known["server_name"],
                "pixels": known["limit_max_image_pixels"],
                "dir": os.path.isdir(known["model_dir"]),
                "manifest": context.manifest["model"]["modelName"],
                "config": context.model_yaml_config.get("free"),
                "all": "x-do" in context.get_all_request_header(0),
            }
        ]

    # -- what it may give

    def give(self, data, what):
        values = {
            "text": "grüß", "bytes": b"\x00\xff", "dict": {"a": 1}, "list": [1, 2.5],
            "none": None, "int": 7, "float": 0.1, "true": True, "empty": "", "no-bytes": b"",
            "bytearray": bytearray(b"ab"), "nested": {"a": [{"b": None}]}, "nan": float("nan"),
            "set": {1}, "object": object(), "number-keys": {1: "a"}, "tuple": (1, 2),
            "text-json": '{"a": 1}', "unicode": {"a": "ü"},
        }  # fmt: skip
        return [values[what] for _ in data]

    def all_of_it(self, data, what):
        return {
            "none": None, "dict": {"a": 1}, "tuple": ("a",), "empty": [], "two": ["a", "b"],
            "text": "a",
        }[what]  # fmt: skip

    # -- through the context

    def status(self, data, code):
        self.context.set_response_status(code=int(code), phrase="As told", idx=0)
        return ["as told"]

    def all_status(self, data, code):
        self.context.set_all_response_status(int(code))
        return [{"a": 1}]

    def kind(self, data, value):
        self.context.set_response_content_type(0, value)
        return ["<b>"]

    def headers(self, data, _):
        self.context.set_response_header(0, "x-made", "by hand")
        self.context.set_response_header(0, "X-Upper", "A")
        return [{"a": 1}]

    # -- how it fails

    def fail(self, data, how):
        if how == "prediction":
            raise PredictionException("no such thing", 404)
        if how == "prediction-default":
            raise PredictionException("it broke")
        raise {
            "value": ValueError("not a number"),
            "memory": MemoryError(),
            "cuda": RuntimeError("CUDA out of memory"),
            "key": KeyError("k"),
            "assertion": AssertionError(),
        }[how]

    def end(self, data, how):
        if how == "sys":
            sys.exit(3)
        os._exit(3)

    def block(self, data, seconds):
        time.sleep(float(seconds))
        return ["woke"] * len(data)
