"""`make demo`: everything from an empty machine to an answer of a trained model."""
