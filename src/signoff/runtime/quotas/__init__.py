"""Quotas: what untrusted data may spend through a tool, counted in the transaction of each effect's intent."""

from signoff.runtime.quotas.store import spend_quota

__all__ = ["spend_quota"]
