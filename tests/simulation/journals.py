"""Journals of a simulation's store."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Protocol
from uuid import UUID

from signoff.runtime.events import Event, decode
from signoff.runtime.state import RunState, fold


class Journals(Protocol):
    """A store that can be asked for a journal."""

    def journal_of(self, run_id: UUID) -> Sequence[Mapping[str, Any]]:
        """A run's events, in order."""
        ...


def events_of(store: Journals, run_id: UUID) -> list[Event]:
    """A run's journal, in order."""
    rows = store.journal_of(run_id)
    return [Event(row["seq"], row["kind"], row["recorded_at"], decode(row["data"])) for row in rows]


def folded(store: Journals, run_id: UUID) -> RunState:
    """The state that a run's journal describes."""
    return fold(events_of(store, run_id))
