"""The models as every peer runs them: onnxruntime, or the same Python code."""

import os
import sys

import numpy as np

NAME = os.environ.get("BENCH_MODEL", "linear")
FOLDER = os.environ.get("BENCH_FOLDER", ".")
THREADS = int(os.environ.get("BENCH_THREADS", "1"))
MAX_BATCH = 32


class Model:
    """`run` takes a list of requests, each a dict of arrays with one row, and gives a list of
    arrays with one row."""

    def __init__(self):
        if NAME == "python":
            sys.path.insert(0, FOLDER)
            from model import Model as Text

            self._text = Text()
            return
        import onnxruntime

        options = onnxruntime.SessionOptions()
        options.intra_op_num_threads = THREADS
        options.inter_op_num_threads = 1
        # As modelfleet has it: threads that spin take the cores from everybody else.
        options.add_session_config_entry("session.intra_op.allow_spinning", "0")
        self._session = onnxruntime.InferenceSession(
            os.path.join(FOLDER, "model.onnx"), options, providers=["CPUExecutionProvider"]
        )
        self._output = self._session.get_outputs()[0].name

    def run(self, requests):
        if NAME == "python":
            texts = np.array([r["text"].ravel()[0] for r in requests], dtype=object)
            outputs = self._text.predict({"text": texts})["scores"]
        else:
            outputs = self._session.run([self._output], join(requests))[0]
        return [outputs[n : n + 1] for n in range(len(requests))]


def join(requests):
    """Rows below one another; texts are padded to the longest of the batch, as one does."""
    batch = {}
    for name in requests[0]:
        arrays = [request[name] for request in requests]
        longest = max(a.shape[1] for a in arrays)
        if any(a.shape[1] != longest for a in arrays):
            arrays = [np.pad(a, ((0, 0), (0, longest - a.shape[1]))) for a in arrays]
        batch[name] = np.concatenate(arrays)
    return batch


def from_bytes(body):
    """The raw body that mosec, TorchServe and Ray Serve are sent: nothing but the values."""
    if NAME == "python":
        text = np.empty(1, dtype=object)
        text[0] = bytes(body)
        return {"text": text}
    if NAME == "encoder":
        ids, mask = np.frombuffer(body, np.int64).reshape(2, 1, -1)
        return {"input_ids": ids, "attention_mask": mask}
    shape = (1, 784) if NAME == "linear" else (1, 1, 28, 28)
    return {"x": np.frombuffer(body, np.float32).reshape(shape)}


def from_json(value):
    """What LitServe and BentoML are sent: `{"x": [...]}`, one row without its first dimension."""
    if NAME == "python":
        return {"text": np.array([value["text"].encode()], dtype=object)}
    dtype = np.int64 if NAME == "encoder" else np.float32
    return {name: np.asarray(one, dtype)[None] for name, one in value.items()}
