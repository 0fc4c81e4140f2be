"""What the control plane asks of the engine: start, send, cancel, list, read. It needs no worker to be up."""

from signoff.runtime.client.model import (
    Debounce,
    Deduplicate,
    EmittedEvent,
    JournalEvent,
    RunStarted,
    RunSummary,
    StartRequest,
)
from signoff.runtime.client.reads import list_events, read_journal, read_run, read_state
from signoff.runtime.client.searching import list_runs
from signoff.runtime.client.writes import cancel_run, emit_event, find_started, send_message, start_run

__all__ = [
    "Debounce",
    "Deduplicate",
    "EmittedEvent",
    "JournalEvent",
    "RunStarted",
    "RunSummary",
    "StartRequest",
    "cancel_run",
    "emit_event",
    "find_started",
    "list_events",
    "list_runs",
    "read_journal",
    "read_run",
    "read_state",
    "send_message",
    "start_run",
]
