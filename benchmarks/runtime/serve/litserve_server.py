import sys

import litserve
from common import MAX_BATCH, Model, from_json


class Api(litserve.LitAPI):
    def setup(self, device):
        self.model = Model()

    def decode_request(self, request):
        return from_json(request)

    def batch(self, inputs):
        return inputs

    def predict(self, batch):
        return self.model.run(batch)

    def unbatch(self, output):
        return output

    def encode_response(self, output):
        return {"y": output.ravel().tolist()}


if __name__ == "__main__":
    api = Api(max_batch_size=MAX_BATCH, batch_timeout=0.001)
    server = litserve.LitServer(api, accelerator="cpu", workers_per_device=1, fast_queue=True)
    server.run(
        port=int(sys.argv[1]), host="127.0.0.1", generate_client_file=False, log_level="error"
    )
