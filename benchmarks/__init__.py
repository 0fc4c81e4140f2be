"""Measurements anyone can run: `python -m benchmarks NAME [--quick]`. Each prints a table, then one JSON object."""
