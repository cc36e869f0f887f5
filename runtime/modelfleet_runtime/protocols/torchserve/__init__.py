"""TorchServe's HTTP APIs: inference, and what management says of the model."""
