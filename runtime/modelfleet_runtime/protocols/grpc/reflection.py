"""Server reflection: which services there are, and what their messages look like."""

from typing import Any, Final

from google.protobuf.message import DecodeError

from modelfleet_runtime.errors import BadInput
from modelfleet_runtime.protocols.grpc.messages import (
    health_pb2,
    inference_pb2,
    reflection_pb2,
    reflection_v1alpha_pb2,
)
from modelfleet_runtime.protocols.grpc.messages.pool import POOL
from modelfleet_runtime.protocols.grpc.statuses import Status

VERSIONS: Final = ("grpc.reflection.v1", "grpc.reflection.v1alpha")
_FILES: Final = (
    inference_pb2.DESCRIPTOR,
    health_pb2.DESCRIPTOR,
    reflection_pb2.DESCRIPTOR,
    reflection_v1alpha_pb2.DESCRIPTOR,
)


class Reflection:
    """The answers of one version of the protocol; the versions differ in their name alone."""

    def __init__(self, version: str) -> None:
        self._pb: Any = reflection_pb2 if version == VERSIONS[0] else reflection_v1alpha_pb2

    def answer(self, message: bytes) -> bytes:
        """To one ServerReflectionRequest. Raises `BadInput`."""
        try:
            request = self._pb.ServerReflectionRequest.FromString(message)
        except DecodeError as error:
            raise BadInput("the message is not a ServerReflectionRequest") from error
        response = self._pb.ServerReflectionResponse(
            valid_host=request.host, original_request=request
        )
        asked = request.WhichOneof("message_request")
        if asked == "list_services":
            for file in _FILES:
                for service in file.services_by_name.values():
                    response.list_services_response.service.add(name=service.full_name)
        elif asked == "file_by_filename":
            self._file(request.file_by_filename, response)
        elif asked == "file_containing_symbol":
            self._symbol(request.file_containing_symbol, response)
        elif asked is None:
            self._error(response, Status.INVALID_ARGUMENT, "the request asks for nothing")
        else:
            self._error(response, Status.NOT_FOUND, "there are no extensions")
        answer: bytes = response.SerializeToString()
        return answer

    def _file(self, name: str, response: Any) -> None:
        for file in _FILES:
            if file.name == name:
                response.file_descriptor_response.file_descriptor_proto.append(file.serialized_pb)
                return
        self._error(response, Status.NOT_FOUND, f"there is no file {name[:80]!r}")

    def _symbol(self, name: str, response: Any) -> None:
        # The pool knows no methods and no fields; they are where what they belong to is.
        for symbol in (name, name.rpartition(".")[0]):
            try:
                file = POOL.FindFileContainingSymbol(symbol)
            except KeyError:
                continue
            response.file_descriptor_response.file_descriptor_proto.append(file.serialized_pb)
            return
        self._error(response, Status.NOT_FOUND, f"there is no symbol {name[:80]!r}")

    def _error(self, response: Any, code: Status, message: str) -> None:
        response.error_response.error_code = code
        response.error_response.error_message = message
