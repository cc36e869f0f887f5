"""What the pair of routers costs, and how soon it follows: see `__main__.py`."""
