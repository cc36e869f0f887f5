"""In SageMaker's toolkit's own environment: its handler service, called as its model server does.

    python sagemaker_driver.py PACKAGE < requests.json

The answers are the last line, in JSON. Only the toolkit's environment has to have it; this file
uses nothing else but the standard library.
"""

import base64
import importlib
import json
import sys
from typing import Any


class Context:
    """The model server's, as far as toolkit and packages ask it."""

    def __init__(self, folder: str) -> None:
        self.system_properties = {"model_dir": folder}
        self.request_processor = [self]
        self.begin({})

    def begin(self, headers: dict[str, str]) -> None:
        self.headers = {_as_written(name): value for name, value in headers.items()}
        self.status = 200
        self.answered: dict[str, str] = {}

    def get_request_properties(self) -> dict[str, str]:
        return self.headers

    def set_response_status(self, code: int = 200, phrase: str = "", idx: int = 0) -> None:
        self.status = code

    def set_response_content_type(self, idx: int, value: str) -> None:
        self.answered["content-type"] = value


def _as_written(name: str) -> str:
    """The model server keeps names as clients of SageMaker write them."""
    return {"content-type": "Content-Type", "accept": "Accept"}.get(name, name)


def main() -> None:
    folder = sys.argv[1]
    context = Context(folder)
    module = importlib.import_module("sagemaker_inference.default_handler_service")
    service = module.DefaultHandlerService()
    service.initialize(context)
    answers = []
    for asked in json.load(sys.stdin):
        context.begin(asked["headers"])
        body = bytearray(base64.b64decode(asked["body"]))
        given = service.handle([{"body": body}], context)[0]
        answers.append(
            {
                "status": context.status,
                "headers": context.answered if context.status < 400 else {},
                "body": base64.b64encode(_sent(given)).decode(),
            }
        )
    print()
    print(json.dumps(answers))


def _sent(given: Any) -> bytes:
    """As the model server sends what a handler gave."""
    if isinstance(given, (bytes, bytearray)):
        return bytes(given)
    return given.encode() if isinstance(given, str) else json.dumps(given, indent=2).encode()


if __name__ == "__main__":
    main()
