import os

import numpy as np
import triton_python_backend_utils as pb_utils


class TritonPythonModel:
    def initialize(self, args):
        import json
        import sys

        parameters = json.loads(args["model_config"])["parameters"]
        for key, value in parameters.items():
            os.environ[key] = value["string_value"]
        sys.path.insert(0, os.environ["BENCH_CODE"])
        from common import NAME, Model

        self.model = Model()
        self.names = {"encoder": ["input_ids", "attention_mask"], "python": ["text"]}.get(
            NAME, ["x"]
        )

    def execute(self, requests):
        items = [
            {n: pb_utils.get_input_tensor_by_name(r, n).as_numpy() for n in self.names}
            for r in requests
        ]
        rows = [len(item[self.names[0]]) for item in items]
        assert all(n == 1 for n in rows)
        return [
            pb_utils.InferenceResponse([pb_utils.Tensor("y", np.ascontiguousarray(out))])
            for out in self.model.run(items)
        ]
