import numpy as np
from common import Model
from mlserver import MLModel
from mlserver.codecs import NumpyCodec, StringCodec
from mlserver.types import InferenceRequest, InferenceResponse


class Bench(MLModel):
    async def load(self) -> bool:
        self.model = Model()
        return True

    async def predict(self, payload: InferenceRequest) -> InferenceResponse:
        arrays = {}
        for one in payload.inputs:
            if one.datatype == "BYTES":
                texts = StringCodec.decode_input(one)
                arrays[one.name] = np.array([text.encode() for text in texts], dtype=object)
            else:
                arrays[one.name] = NumpyCodec.decode_input(one)
        rows = len(next(iter(arrays.values())))
        requests = [{name: a[n : n + 1] for name, a in arrays.items()} for n in range(rows)]
        outputs = np.concatenate(self.model.run(requests))
        return InferenceResponse(
            id=payload.id,
            model_name=self.name,
            outputs=[NumpyCodec.encode_output("y", outputs)],
        )
