"""Calls to models as Prometheus and OpenTelemetry know them, both made of the records of calls: off the calls' way."""
