"""An answer with its own status and headers."""

import json
from collections.abc import Mapping
from typing import Any

from werkzeug.wrappers import Response

_JSON = "application/json"


class AMLResponse(Response):
    """What `run` returns to say more than the body. A header of several values has commas."""

    default_mimetype = "text/html"

    def __init__(
        self,
        message: Any,
        status_code: int,
        response_headers: Mapping[str, str] | None = None,
        json_str: bool = False,
        run_function_failed: bool = False,
    ) -> None:
        given = response_headers or {}
        if message is None:
            super().__init__(json.dumps({}), status=status_code, mimetype=_JSON)
        elif json_str:
            super().__init__(json.dumps(message), status=status_code, mimetype=_JSON)
        else:
            super().__init__(message, status=status_code)
            if "Content-Type" in given:
                self.headers.remove("Content-Type")
        self.headers["x-ms-run-function-failed"] = str(run_function_failed)
        for name, value in given.items():
            for part in value.split(","):
                self.headers.add(name, part.strip())
