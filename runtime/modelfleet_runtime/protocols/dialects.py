"""Which packages bring a protocol of their own."""

from collections.abc import Mapping

from modelfleet_contract import ModelFormat
from modelfleet_runtime.limits import RequestLimits
from modelfleet_runtime.protocols.azureml import routes as azureml
from modelfleet_runtime.protocols.raw import Dialect
from modelfleet_runtime.protocols.sagemaker import routes as sagemaker
from modelfleet_runtime.protocols.vertex import routes as vertex


def dialect_of(
    platform: str, environment: Mapping[str, str], limits: RequestLimits, processes: int
) -> Dialect | None:
    """`environment` holds the package's variables before those of the process. None for packages
    that take tensors."""
    match platform:
        case ModelFormat.SAGEMAKER:
            return sagemaker.dialect(environment, limits, processes)
        case ModelFormat.AZUREML:
            return azureml.dialect()
        case ModelFormat.VERTEX:
            return vertex.dialect(environment)
    return None
