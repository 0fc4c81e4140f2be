"""Journals of a store in memory."""

from __future__ import annotations

from uuid import UUID

from tests.simulation.memory_store import MemoryStore

from signoff.runtime.events import Event, decode
from signoff.runtime.state import RunState, fold


def events_of(store: MemoryStore, run_id: UUID) -> list[Event]:
    """A run's journal, in order."""
    rows = sorted((row for (owner, _), row in store.journal.items() if owner == run_id), key=lambda row: row["seq"])
    return [Event(row["seq"], row["kind"], row["recorded_at"], decode(row["data"])) for row in rows]


def folded(store: MemoryStore, run_id: UUID) -> RunState:
    """The state that a run's journal describes."""
    return fold(events_of(store, run_id))
