"""The engine: durable execution on PostgreSQL alone. It knows no AI.

`signoff.runtime.client` is the control plane's side (start, send, read); `Worker` is the runtime plane's.
"""

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from signoff.runtime.client import StartRequest, cancel_run, send_message, start_run
    from signoff.runtime.handlers import Done, Effect, PureHandler, ReleaseLoader, StepCall, StepHandler, Waiting
    from signoff.runtime.settings import RuntimeSettings
    from signoff.runtime.worker import Worker
else:
    from signoff.core.lazy import offered

    __getattr__ = offered(
        __name__,
        {
            "Done": "signoff.runtime.handlers",
            "Effect": "signoff.runtime.handlers",
            "PureHandler": "signoff.runtime.handlers",
            "ReleaseLoader": "signoff.runtime.handlers",
            "RuntimeSettings": "signoff.runtime.settings",
            "StartRequest": "signoff.runtime.client",
            "StepCall": "signoff.runtime.handlers",
            "StepHandler": "signoff.runtime.handlers",
            "Waiting": "signoff.runtime.handlers",
            "Worker": "signoff.runtime.worker",
            "cancel_run": "signoff.runtime.client",
            "send_message": "signoff.runtime.client",
            "start_run": "signoff.runtime.client",
        },
    )

__all__ = [
    "Done",
    "Effect",
    "PureHandler",
    "ReleaseLoader",
    "RuntimeSettings",
    "StartRequest",
    "StepCall",
    "StepHandler",
    "Waiting",
    "Worker",
    "cancel_run",
    "send_message",
    "start_run",
]
