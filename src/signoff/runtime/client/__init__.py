"""What the control plane asks of the engine: start, send, cancel, list, read. It needs no worker to be up.

What is asked less often is in modules of its own: `emitted`, `operations`, `migrating`, `forking`, `history`,
`explaining`, `comparing`.
"""

from signoff.runtime.client.model import (
    Debounce,
    Deduplicate,
    JournalEvent,
    RunStarted,
    RunSummary,
    StartRequest,
)
from signoff.runtime.client.reads import read_journal, read_run, read_state
from signoff.runtime.client.searching import list_runs
from signoff.runtime.client.writes import cancel_run, find_started, send_message, start_run

__all__ = [
    "Debounce",
    "Deduplicate",
    "JournalEvent",
    "RunStarted",
    "RunSummary",
    "StartRequest",
    "cancel_run",
    "find_started",
    "list_runs",
    "read_journal",
    "read_run",
    "read_state",
    "send_message",
    "start_run",
]
