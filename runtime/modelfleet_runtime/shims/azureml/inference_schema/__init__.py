"""What entry scripts import of inference-schema."""
