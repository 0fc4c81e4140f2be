"""Other engines under the same workload, each in an environment of its own that `environments.py` makes."""
