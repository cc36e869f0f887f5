"""What a handler is told of its model and of the requests in a batch, and says of their answers."""

import os
from typing import Any


class RequestHeaders(dict[str, Any]):
    """Names as they came, in lower case; found in whatever case they are asked for."""

    def __contains__(self, key: object) -> bool:
        return super().__contains__(_lower(key))

    def __getitem__(self, key: str) -> Any:
        return super().__getitem__(_lower(key))

    def get(self, key: str, default: Any = None) -> Any:
        return super().get(_lower(key), default)


def _lower(key: Any) -> Any:
    return key.lower() if isinstance(key, str) else key


class RequestProcessor:
    """One request of a batch, and what its answer is to be."""

    def __init__(self, request_header: dict[str, Any]) -> None:
        self._request = RequestHeaders(
            {_lower(key): value for key, value in request_header.items()}
        )
        self._response: dict[str, str] = {}
        self._status: tuple[int, str | None] = 200, None

    def get_request_property(self, key: str) -> Any:
        return self._request.get(key)

    def get_request_properties(self) -> dict[str, Any]:
        return self._request

    def report_status(self, code: int, reason_phrase: str | None = None) -> None:
        self._status = code, reason_phrase

    def get_response_status_code(self) -> int:
        return self._status[0]

    def get_response_status_phrase(self) -> str | None:
        return self._status[1]

    def add_response_property(self, key: str, value: str) -> None:
        self._response[key] = value

    def get_response_header(self, key: str) -> str | None:
        return self._response.get(key)

    def get_response_headers(self) -> dict[str, str]:
        return self._response


class Context:
    """Given to `initialize` and to `handle`; `idx` is a request's place in the batch."""

    def __init__(
        self,
        model_name: str,
        model_dir: str,
        manifest: dict[str, Any],
        batch_size: int,
        gpu: int | None,
        mms_version: str,
        limit_max_image_pixels: bool = True,
        metrics: Any = None,
        model_yaml_config: dict[str, Any] | None = None,
    ) -> None:
        self.model_name = model_name
        self.manifest = manifest
        self.system_properties: dict[str, Any] = {
            "model_dir": model_dir,
            "gpu_id": gpu,
            "batch_size": batch_size,
            "server_name": "MMS",
            "server_version": mms_version,
            "limit_max_image_pixels": limit_max_image_pixels,
        }
        self.metrics = metrics
        self.model_yaml_config = model_yaml_config or {}
        self.request_ids: dict[int, str] | None = None
        self.request_processor: list[RequestProcessor] | None = None
        self.stopping_criteria: Any = None
        self.cl_socket: Any = None
        self.header_key_sequence_id = os.environ.get(
            "TS_REQUEST_SEQUENCE_ID", "ts_request_sequence_id"
        )

    def _of(self, idx: int) -> RequestProcessor:
        if self.request_processor is None:
            raise RuntimeError("there are no requests while the model is loaded")
        return self.request_processor[idx]

    def get_request_id(self, idx: int = 0) -> str | None:
        return None if self.request_ids is None else self.request_ids.get(idx)

    def get_request_header(self, idx: int, key: str) -> Any:
        return self._of(idx).get_request_property(key)

    def get_all_request_header(self, idx: int) -> dict[str, Any]:
        return self._of(idx).get_request_properties()

    def get_sequence_id(self, idx: int) -> Any:
        return self.get_request_header(idx, self.header_key_sequence_id)

    def set_response_content_type(self, idx: int, value: str) -> None:
        self.set_response_header(idx, "content-type", value)

    def get_response_content_type(self, idx: int) -> str | None:
        return self._of(idx).get_response_header("content-type")

    def set_response_header(self, idx: int, key: str, value: str) -> None:
        self._of(idx).add_response_property(key, value)

    def get_response_headers(self, idx: int) -> dict[str, str]:
        return self._of(idx).get_response_headers()

    def set_response_status(self, code: int = 200, phrase: str = "", idx: int = 0) -> None:
        if self.request_processor is not None:
            self._of(idx).report_status(code, phrase)

    def set_all_response_status(self, code: int = 200, phrase: str = "") -> None:
        for one in self.request_processor or ():
            one.report_status(code, phrase)

    def get_response_status(self, idx: int) -> tuple[int, str | None]:
        one = self._of(idx)
        return one.get_response_status_code(), one.get_response_status_phrase()
