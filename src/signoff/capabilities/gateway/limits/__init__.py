"""Quotas and budgets of all callers, exact over all processes: counted in PostgreSQL, admitted in batches."""

from signoff.capabilities.gateway.limits.ledger import LimitLedger, LimitsOf
from signoff.capabilities.gateway.limits.settings import LimitSettings

__all__ = ["LimitLedger", "LimitSettings", "LimitsOf"]
