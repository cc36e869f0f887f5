"""What the operator and the runtime agree on, spelled once.

The operator writes a `ServeDocument` into the pod, the runtime reads it; the runtime writes a
`Failure` when it cannot serve, the operator reads that. Neither imports the other; both import
this package, and it imports nothing but pydantic.
"""

from modelfleet_contract.base import Shared
from modelfleet_contract.batching import (
    Batching,
    Level,
    OnQueueTimeout,
    Oversize,
    Padding,
    Priorities,
)
from modelfleet_contract.bytesize import ByteSize, format_byte_size, parse_byte_size
from modelfleet_contract.document import (
    DOCUMENT_ENV,
    GRPC_PORT,
    GRPC_PORT_NAME,
    HTTP_PORT,
    HTTP_PORT_NAME,
    LIVE_PATH,
    METRICS_PATH,
    MODELS_FOLDER,
    READY_PATH,
    SERVED_BY_HEADER,
    ServeDocument,
)
from modelfleet_contract.duration import Duration, format_duration, parse_duration
from modelfleet_contract.engine import Device, EngineSettings, Precision
from modelfleet_contract.failure import Failure, FailureReason
from modelfleet_contract.model import (
    DIGEST_PATTERN,
    FETCHED_SCHEMES,
    URI_PATTERN,
    ModelFormat,
    ModelSource,
    Scheme,
)
from modelfleet_contract.tallies import (
    CALLER_BUCKETS,
    CALLER_HEADER,
    EXPERIMENT_PATH,
    FEEDBACK_HEADER,
    FEEDBACK_PATH,
    MOST_REVISIONS,
    CallerCounts,
    RevisionTally,
    Sums,
    Tallies,
    ValueTally,
    bucket_of,
)
from modelfleet_contract.values import (
    LARGEST_VALUE,
    MOST_FEEDBACK,
    MOST_VALUES,
    VALUE_NAME_PATTERN,
    ModelValue,
    Reduce,
    ValueName,
)

__all__ = [
    "CALLER_BUCKETS",
    "CALLER_HEADER",
    "DIGEST_PATTERN",
    "DOCUMENT_ENV",
    "EXPERIMENT_PATH",
    "FEEDBACK_HEADER",
    "FEEDBACK_PATH",
    "FETCHED_SCHEMES",
    "GRPC_PORT",
    "GRPC_PORT_NAME",
    "HTTP_PORT",
    "HTTP_PORT_NAME",
    "LARGEST_VALUE",
    "LIVE_PATH",
    "METRICS_PATH",
    "MODELS_FOLDER",
    "MOST_FEEDBACK",
    "MOST_REVISIONS",
    "MOST_VALUES",
    "READY_PATH",
    "SERVED_BY_HEADER",
    "URI_PATTERN",
    "VALUE_NAME_PATTERN",
    "Batching",
    "ByteSize",
    "CallerCounts",
    "Device",
    "Duration",
    "EngineSettings",
    "Failure",
    "FailureReason",
    "Level",
    "ModelFormat",
    "ModelSource",
    "ModelValue",
    "OnQueueTimeout",
    "Oversize",
    "Padding",
    "Precision",
    "Priorities",
    "Reduce",
    "RevisionTally",
    "Scheme",
    "ServeDocument",
    "Shared",
    "Sums",
    "Tallies",
    "ValueName",
    "ValueTally",
    "bucket_of",
    "format_byte_size",
    "format_duration",
    "parse_byte_size",
    "parse_duration",
]
