"""Retention: finished runs are archived or dropped by policy, in bounded batches that may be interrupted anywhere."""

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from signoff.runtime.retention.model import (
        KEEP_FOREVER,
        Due,
        ProjectRetention,
        RetentionPolicy,
        RetentionReport,
        Trouble,
    )
    from signoff.runtime.retention.service import Retention
    from signoff.runtime.retention.settings import RetentionSettings
else:
    from signoff.core.lazy import offered

    __getattr__ = offered(
        __name__,
        {
            "Due": "signoff.runtime.retention.model",
            "KEEP_FOREVER": "signoff.runtime.retention.model",
            "ProjectRetention": "signoff.runtime.retention.model",
            "Retention": "signoff.runtime.retention.service",
            "RetentionPolicy": "signoff.runtime.retention.model",
            "RetentionReport": "signoff.runtime.retention.model",
            "RetentionSettings": "signoff.runtime.retention.settings",
            "Trouble": "signoff.runtime.retention.model",
        },
    )

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
