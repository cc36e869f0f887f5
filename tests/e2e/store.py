"""A web server from which the cluster's pods fetch models."""

import hashlib
import threading
from functools import partial
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any


class _Quiet(SimpleHTTPRequestHandler):
    def log_message(self, *_: Any) -> None:
        """Its requests are no part of a test's output."""


class Store:
    """Serves one folder on one address of this host."""

    def __init__(self, host: str, folder: Path) -> None:
        self._folder = folder
        handler = partial(_Quiet, directory=str(folder))
        self._server = ThreadingHTTPServer((host, 0), handler)
        self._thread = threading.Thread(target=self._server.serve_forever, daemon=True)
        self._thread.start()
        self._root = f"http://{host}:{self._server.server_address[1]}"

    def put(self, name: str, content: bytes, **more: str) -> dict[str, str]:
        """Serves the bytes; `spec.model` for them."""
        (self._folder / name).write_bytes(content)
        digest = f"sha256:{hashlib.sha256(content).hexdigest()}"
        return {"uri": f"{self._root}/{name}", "digest": digest, **more}

    def close(self) -> None:
        self._server.shutdown()
        self._thread.join()
        self._server.server_close()
