"""Some hundred schedules in each test run; `python -m tests.simulation` lives as many as are asked for."""

from __future__ import annotations

import os
from collections.abc import Sequence
from typing import Any
from uuid import UUID

import pytest
from tests.simulation import memory_database
from tests.simulation.memory_store import MemoryStore
from tests.simulation.running import failure_of, live, shrunk
from tests.simulation.schedule import Schedule, random_schedule
from tests.simulation.telling import told

COUNT = int(os.environ.get("SIGNOFF_SIMULATIONS", "240"))
BATCHES = 12


@pytest.mark.timeout(600)
@pytest.mark.parametrize("batch", range(BATCHES))
def test_what_always_holds_after_any_schedule(batch: int):
    size = COUNT // BATCHES
    for seed in range(batch * size, (batch + 1) * size):
        schedule = random_schedule(seed)
        if failure_of(schedule) is not None:
            pytest.fail(told(schedule, *shrunk(schedule)))


def test_a_seed_gives_the_same_lives_each_time():
    """A failure that is not seen again cannot be understood."""
    for seed in (3, 17):
        assert live(random_schedule(seed)) == live(random_schedule(seed))


def test_a_schedule_is_read_back_as_it_was_printed():
    for seed in range(50):
        schedule = random_schedule(seed)
        assert Schedule.from_json(schedule.as_json()) == schedule


def test_a_store_without_a_fence_is_found_out_and_the_schedule_shrunk(monkeypatch: pytest.MonkeyPatch):
    """The checks can fail: a worker that was declared dead writes on, and what it writes is noticed."""

    def unfenced(store: MemoryStore, session_id: UUID, *arrays: Sequence[Any]) -> object:
        return (
            fenced(store, session_id, *arrays) if session_id in store.sessions else revived(store, session_id, arrays)
        )

    def revived(store: MemoryStore, session_id: UUID, arrays: tuple[Sequence[Any], ...]) -> object:
        store.open_session(session_id, "", 0, 60.0)
        try:
            return fenced(store, session_id, *arrays)
        finally:
            store.close_session(session_id)

    [query] = [text for text, method in memory_database.STATEMENTS.items() if method is MemoryStore.release_orphans]
    fenced = MemoryStore.append
    for text, method in list(memory_database.STATEMENTS.items()):
        if method is MemoryStore.append:
            monkeypatch.setitem(memory_database.STATEMENTS, text, unfenced)

    def stolen(store: MemoryStore, now: object) -> object:
        """Takes runs of the living too."""
        freed = [row for row in store.queue.values() if row["owner"] is not None]
        for row in freed:
            store.queue[row["run_id"]] = {**row, "owner": None}
        return [{"run_id": row["run_id"]} for row in freed]

    monkeypatch.setitem(memory_database.STATEMENTS, query, stolen)
    seeds = (seed for seed in range(200) if failure_of(random_schedule(seed)) is not None)
    schedule = random_schedule(next(seeds))
    smallest, error = shrunk(schedule)
    assert len(smallest.steps) <= len(schedule.steps)
    assert len(smallest.happenings) <= len(schedule.happenings)
    text = told(schedule, smallest, error)
    assert f"--seed {schedule.seed}" in text
    assert smallest.as_json() in text
