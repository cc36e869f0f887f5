"""Does the API server answer, and what does it say?

Without kubectl, which takes 0.2 s of a core for each question.
"""

import json
import ssl
from http.client import HTTPException, HTTPSConnection
from pathlib import Path
from typing import Any


class Api:
    """Reads as the cluster's administrator."""

    def __init__(self, address: str, port: int, pki: Path) -> None:
        self._address, self._port = address, port
        self._trust = ssl.create_default_context(cafile=str(pki / "ca.crt"))
        self._trust.load_cert_chain(pki / "admin.crt", pki / "admin.key")

    def ready(self) -> bool:
        return self._get("/readyz") is not None

    def read(self, path: str) -> dict[str, Any]:
        """The object at the path; empty where there is none, or no answer."""
        body = self._get(path)
        content = json.loads(body) if body else {}
        return content if isinstance(content, dict) else {}

    def _get(self, path: str) -> bytes | None:
        connection = HTTPSConnection(self._address, self._port, context=self._trust, timeout=3)
        try:
            connection.request("GET", path)
            answer = connection.getresponse()
            return answer.read() if answer.status == 200 else None
        except (OSError, HTTPException):
            return None
        finally:
            connection.close()


def condition(content: dict[str, Any], kind: str) -> bool:
    """Whether the object has this condition with status True."""
    conditions = content.get("status", {}).get("conditions", [])
    return any(c["type"] == kind and c["status"] == "True" for c in conditions)
