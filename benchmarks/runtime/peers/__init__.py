"""One server a file: what it needs, how it is started, what is sent to it, what it answers."""

from benchmarks.runtime.peers.mlserver import MLSERVER
from benchmarks.runtime.peers.others import BENTOML, LITSERVE, MOSEC, RAY
from benchmarks.runtime.peers.ours import MODELFLEET
from benchmarks.runtime.peers.peer import Peer
from benchmarks.runtime.peers.torchserve import TORCHSERVE
from benchmarks.runtime.peers.triton import TRITON

PEERS: tuple[Peer, ...] = (
    MODELFLEET, TRITON, TORCHSERVE, MOSEC, LITSERVE, MLSERVER, BENTOML, RAY
)  # fmt: skip
