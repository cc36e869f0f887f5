"""The program `modelfleet`, and `kubectl modelfleet`: rollouts as people see and steer them.

What is shown and what a verb means is worked out by plain functions from what was read (`show/`,
`verbs.py`, `restore.py`, `outcome.py`); the files named after verbs read, ask them, and write.
"""
