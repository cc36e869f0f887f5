"""Azure ML's routes."""
