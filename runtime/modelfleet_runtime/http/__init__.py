"""HTTP as bytes on a connection: the inference routes without a framework between."""
