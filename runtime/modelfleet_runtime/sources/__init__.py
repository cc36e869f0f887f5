"""From a model's address to a place on disk: fetch, prove, unpack."""
