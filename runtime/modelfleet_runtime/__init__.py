"""The process that owns one model: loads it, batches what is asked of it, answers over HTTP."""
