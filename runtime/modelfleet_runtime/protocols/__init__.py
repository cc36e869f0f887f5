"""Bytes to tensors and back, one protocol a folder; they talk to the batcher alone."""
