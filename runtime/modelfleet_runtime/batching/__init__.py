"""From requests to batches and back: each request gets its own rows, whatever the batch was."""
