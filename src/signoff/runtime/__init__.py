"""The engine: durable execution on PostgreSQL alone. It knows no AI.

`signoff.runtime.client` is the control plane's side (start, send, read); `Worker` is the runtime plane's.
"""

from signoff.runtime.client import StartRequest, cancel_run, send_message, start_run
from signoff.runtime.handlers import Done, Effect, PureHandler, ReleaseLoader, StepCall, StepHandler, Waiting
from signoff.runtime.settings import RuntimeSettings
from signoff.runtime.worker import Worker

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
