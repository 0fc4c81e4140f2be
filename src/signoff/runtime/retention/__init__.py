"""Retention: finished runs are archived or dropped by policy, in bounded batches that may be interrupted anywhere."""

from signoff.runtime.retention.model import (
    KEEP_FOREVER,
    Due,
    ProjectRetention,
    RetentionPolicy,
    RetentionReport,
    RetentionSettings,
    Trouble,
)
from signoff.runtime.retention.service import Retention

__all__ = [
    "KEEP_FOREVER",
    "Due",
    "ProjectRetention",
    "Retention",
    "RetentionPolicy",
    "RetentionReport",
    "RetentionSettings",
    "Trouble",
]
