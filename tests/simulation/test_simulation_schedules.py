"""Some hundred schedules in each test run; `python -m tests.simulation` lives as many as are asked for."""

from __future__ import annotations

import os
from typing import Any
from uuid import UUID

import pytest
from tests.simulation.memory_database import STATEMENTS
from tests.simulation.memory_store import MemoryStore, Row
from tests.simulation.running import failure_of, live, shrunk
from tests.simulation.schedule import Happening, PlannedStep, Schedule, random_schedule
from tests.simulation.telling import told
from tests.simulation.world import BrokenError

COUNT = int(os.environ.get("SIGNOFF_SIMULATIONS", "204"))
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


def unmoved(store: MemoryStore, org_id: UUID, run_id: UUID, *_: Any) -> list[Row]:
    """A sender that leaves the run's queue row as it was: what an inbox without rule 5 has."""
    row = store.queue.get(run_id)
    return [] if row is None or row["org_id"] != org_id else [{"gen": row["gen"]}]


def test_a_store_that_strands_messages_is_found_out_and_the_schedule_made_smaller():
    """The checks can fail: a message that was accepted and wakes nobody is noticed."""
    broken = {query: unmoved if method is MemoryStore.bump else method for query, method in STATEMENTS.items()}
    schedule = Schedule(1, (PlannedStep("wait"), PlannedStep("set", (0,))), (Happening(0.5, "cut"),), runs=2)
    assert failure_of(schedule) is None
    smallest, error = shrunk(schedule, broken, most_tries=6)
    assert isinstance(error, BrokenError)
    assert (smallest.runs, smallest.happenings) == (1, ())
    text = told(schedule, smallest, error)
    assert "--seed 1" in text
    assert smallest.as_json() in text
