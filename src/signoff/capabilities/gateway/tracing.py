"""W3C trace context towards vendors: only to models whose `trace` in `models.yaml` is true.

A trace's id tells a vendor which of its calls belong together, and is the id of a run: so nobody is told unasked.
"""

from __future__ import annotations

import hashlib
import re
from contextvars import ContextVar
from uuid import UUID

from signoff.catalog.models import ModelSpec

HEADER = "traceparent"
_SOUND = re.compile(r"00-(?!0{32})[0-9a-f]{32}-(?!0{16})[0-9a-f]{16}-[0-9a-f]{2}")
_sent: ContextVar[str] = ContextVar("signoff_traceparent", default="")


def step_span_id(run_id: UUID, step: str) -> int:
    """The id of the span of a run's step: the same wherever it is asked for."""
    hashed = hashlib.sha256(f"{run_id} {step}".encode()).digest()
    return int.from_bytes(hashed[:8], "big") or 1


def traceparent_of(said: str, run_id: UUID | None = None, step: str = "") -> str:
    """The caller's span, as W3C's `traceparent` (version 00): its own, or that of a run's step; empty for none."""
    if said:
        # What a program sends goes into a head: nothing else than exactly this form.
        return said if _SOUND.fullmatch(said) else ""
    return "" if run_id is None else f"00-{run_id.hex}-{step_span_id(run_id, step):016x}-01"


def trace(spec: ModelSpec, said: str, run_id: UUID | None, step: str) -> None:
    """The next call that this task makes to the model is traced, where the project has it so."""
    if spec.settings.get("trace"):
        _sent.set(traceparent_of(said, run_id, step))


def traced() -> str:
    """The `traceparent` of the call that is being made; empty for none."""
    return _sent.get()
