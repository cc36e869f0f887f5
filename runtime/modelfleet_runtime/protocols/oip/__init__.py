"""The Open Inference Protocol, version 2, over HTTP: JSON and binary tensors."""
