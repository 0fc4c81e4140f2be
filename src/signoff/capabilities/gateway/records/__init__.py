"""Records of calls: written in batches off the hot path, read by people, summed up by day, measured for routing."""

from signoff.capabilities.gateway.records.health import ModelHealth, measured_health
from signoff.capabilities.gateway.records.model import CallFilter, CostFilter, CostLine, Difference
from signoff.capabilities.gateway.records.reading import COST_BY, list_calls, read_call, read_costs, read_differences
from signoff.capabilities.gateway.records.recorder import CallRecorder
from signoff.capabilities.gateway.records.settings import RecordSettings

__all__ = [
    "COST_BY",
    "CallFilter",
    "CallRecorder",
    "CostFilter",
    "CostLine",
    "Difference",
    "ModelHealth",
    "RecordSettings",
    "list_calls",
    "measured_health",
    "read_call",
    "read_costs",
    "read_differences",
]
