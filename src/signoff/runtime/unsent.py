"""Tries whose intent is in the journal and of which certainly nothing was sent, as a live worker says.

Its session may be over by then, and another worker have the run: that one is told through the inbox. Its word is on one
intent, by name. Where the run's new owner has meant to send since, or an earlier try may have acted, it settles
nothing of that.
"""

from __future__ import annotations

import asyncio
from typing import Any

from signoff.runtime import effects
from signoff.runtime.context import RunContext
from signoff.runtime.effects import says
from signoff.runtime.handlers import Message
from signoff.runtime.state import StepRecord

NOT_SENT = "not_sent"


def stayed(execution: RunContext, record: StepRecord) -> None:
    """Nothing was sent of the try under way: it is tried again, here or by whoever has the run."""
    engine, facts = execution.engine, execution.facts
    told = {"attempt": record.attempt, "resolution": NOT_SENT, "intent": record.intent}

    def tell() -> None:
        engine.report(facts.org_id, facts.run_id, record.path, told)

    if execution.abandoned or engine.journal.lost:
        tell()
    elif record.state is None:
        tried_again(execution, record)
        entry = execution.take_buffer()
        entry.written = asyncio.get_running_loop().create_future()
        entry.written.add_done_callback(lambda written: None if written.exception() is None else tell())
        engine.journal.submit(entry)


def tried_again(execution: RunContext, record: StepRecord, message: Message | None = None) -> None:
    """Journal that the latest try sent nothing; one that was never made counts for no limit of tries."""
    detail = "the worker's session may have been over, so it sent nothing"
    facts: dict[str, Any] = {"step": record.path, "error": {"kind": NOT_SENT, "detail": detail}}
    if message is not None:
        facts |= {"message_id": str(message.message_id), "by": message.sent_by}
    if not record.doubted and effects.unwound(execution, record):
        execution.emit("step.ended", {**facts, "status": "cancelled", "review": False})
        return
    now = execution.engine.clock.now()
    again = {"attempt": record.attempt, "retry_at": now, "in_doubt": record.doubted, "held": True}
    execution.emit("step.retrying", {**facts, **again})


def word(record: StepRecord) -> Message | None:
    """A worker's word that the intent in doubt was not sent."""
    if not record.in_doubt:
        return None
    return next((message for message in record.undelivered if says(record, message, NOT_SENT)), None)
