"""The model's package, and who listens to what its pods say."""

import io
import json
import socket
import tarfile
import threading
from collections import Counter
from dataclasses import asdict, dataclass
from pathlib import Path

MODEL = Path(__file__).parent / "model.py"


@dataclass(frozen=True, slots=True)
class Witness:
    """One version of the model. Its `label` is in each answer."""

    label: int
    fails_each: int = 0
    """It raises for each request whose number can be divided by this; 0: for none."""
    seconds: float = 0.0
    """How long a batch takes."""

    def packed(self, teller: tuple[str, int]) -> bytes:
        """As a tar archive. `teller`: where its pods send what they have run."""
        settings = json.dumps({**asdict(self), "teller": teller}).encode()
        packed = io.BytesIO()
        with tarfile.open(fileobj=packed, mode="w") as archive:
            for name, content in (("model.py", MODEL.read_bytes()), ("settings.json", settings)):
                entry = tarfile.TarInfo(name)
                entry.size = len(content)
                archive.addfile(entry, io.BytesIO(content))
        return packed.getvalue()


class Listener:
    """Counts how often each request was run, whether its pod lives on or not."""

    def __init__(self, host: str) -> None:
        self._socket = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        self._socket.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 8 << 20)
        self._socket.bind((host, 0))
        self._lock = threading.Lock()
        self._runs: Counter[int] = Counter()
        self._moods: dict[str, bytes] = {}
        self._thread = threading.Thread(target=self._listen, daemon=True)
        self._thread.start()

    @property
    def address(self) -> tuple[str, int]:
        host, port = self._socket.getsockname()
        return host, port

    def begin(self) -> None:
        """Forgets what was run; moods stay."""
        with self._lock:
            self._runs.clear()

    def tell(self, pod: str, mood: str) -> None:
        """`fail` or `hang`: from the pod's next batch but one on. Empty: as it should be."""
        with self._lock:
            self._moods[pod] = mood.encode()

    def runs(self) -> Counter[int]:
        """By the request's number."""
        with self._lock:
            return Counter(self._runs)

    def close(self) -> None:
        self._socket.close()

    def _listen(self) -> None:
        while True:
            try:
                said, sender = self._socket.recvfrom(1 << 16)
            except OSError:
                return  # closed
            told = json.loads(said)
            with self._lock:
                self._runs.update(number for number in told["numbers"] if number > 0)
                mood = self._moods.get(told["pod"])
            if mood is not None:
                self._socket.sendto(mood, sender)
