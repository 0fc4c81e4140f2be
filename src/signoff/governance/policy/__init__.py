"""Policy: Cedar with default deny. Every consequential action asks here first, and the answer is journaled."""

from signoff.governance.policy.engine import PolicySet
from signoff.governance.policy.model import Decision, Obligation, PolicyRequest, ResourceRef
from signoff.governance.policy.requests import (
    emit_request,
    model_request,
    retrieve_request,
    review_read_request,
    review_request,
    run_request,
    send_event_request,
    start_request,
    tool_request,
)
from signoff.governance.policy.values import cedar_record

__all__ = [
    "Decision",
    "Obligation",
    "PolicyRequest",
    "PolicySet",
    "ResourceRef",
    "cedar_record",
    "emit_request",
    "model_request",
    "retrieve_request",
    "review_read_request",
    "review_request",
    "run_request",
    "send_event_request",
    "start_request",
    "tool_request",
]
