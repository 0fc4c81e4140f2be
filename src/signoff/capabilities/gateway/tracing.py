"""W3C trace context towards vendors: only to models whose `trace` in `models.yaml` is true.

A trace's id tells a vendor which of its calls belong together, and is the id of a run: so nobody is told unasked.
"""

from __future__ import annotations

import hashlib
import re
from contextvars import ContextVar

from signoff.capabilities.gateway.asking import Asked, Caller
from signoff.catalog.models import ModelSpec

HEADER = "traceparent"
_SOUND = re.compile(r"00-(?!0{32})[0-9a-f]{32}-(?!0{16})[0-9a-f]{16}-[0-9a-f]{2}")
_sent: ContextVar[str] = ContextVar("signoff_traceparent", default="")


def step_span_id(caller: Caller) -> int:
    """The id of the span of a run's step: the same wherever it is asked for."""
    hashed = hashlib.sha256(f"{caller.run_id} {caller.step}".encode()).digest()
    return int.from_bytes(hashed[:8], "big") or 1


def traceparent_of(asked: Asked) -> str:
    """The caller's span, as W3C's `traceparent` (version 00): its own, or that of a run's step; empty for none."""
    if asked.trace:
        # What a program sends goes into a head: nothing else than exactly this form.
        return asked.trace if _SOUND.fullmatch(asked.trace) else ""
    caller = asked.caller
    return "" if caller.run_id is None else f"00-{caller.run_id.hex}-{step_span_id(caller):016x}-01"


def trace(spec: ModelSpec, asked: Asked) -> None:
    """The next call that this task makes to the model is traced, where the project has it so."""
    if spec.settings.get("trace"):
        _sent.set(traceparent_of(asked))


def traced() -> str:
    """The `traceparent` of the call that is being made; empty for none."""
    return _sent.get()
