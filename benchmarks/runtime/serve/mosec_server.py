import numpy as np
from common import MAX_BATCH, Model, from_bytes
from mosec import Server, Worker


class Inference(Worker):
    def __init__(self):
        super().__init__()
        self.model = Model()

    def deserialize(self, data: bytes):
        return from_bytes(data)

    def forward(self, data: list[dict]) -> list[np.ndarray]:
        return self.model.run(data)

    def serialize(self, data: np.ndarray) -> bytes:
        return data.tobytes()


if __name__ == "__main__":
    server = Server()
    server.append_worker(Inference, num=1, max_batch_size=MAX_BATCH, max_wait_time=1)
    server.run()
