"""The Open Inference Protocol, version 2, over gRPC, with health checking and reflection."""
