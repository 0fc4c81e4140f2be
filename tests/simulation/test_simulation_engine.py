"""Some schedules of the whole engine in each test run; `python -m tests.simulation --engine` lives many more."""

from __future__ import annotations

import os
from dataclasses import replace

import psycopg
import pytest
from tests.simulation.engine_running import engine_failure, live_engine, shrunk_engine
from tests.simulation.engine_schedule import EngineSchedule, random_engine_schedule
from tests.simulation.schedule import Happening, PlannedStep
from tests.simulation.sql_server import prepare
from tests.simulation.telling import told
from tests.simulation.virtual_loop import START
from tests.simulation.world import BrokenError

COUNT = int(os.environ.get("SIGNOFF_ENGINE_SIMULATIONS", "12"))
BATCHES = 3


@pytest.fixture
def url(database_url: str) -> str:
    prepare(database_url, START)
    return database_url


@pytest.mark.timeout(600)
@pytest.mark.parametrize("batch", range(BATCHES))
def test_what_always_holds_after_any_schedule_of_the_whole_engine(batch: int, url: str):
    size = COUNT // BATCHES
    for seed in range(batch * size, (batch + 1) * size):
        schedule = random_engine_schedule(seed)
        if engine_failure(url, schedule) is not None:
            pytest.fail(told(schedule, *shrunk_engine(url, schedule), options=" --engine"))


def test_a_seed_gives_the_same_lives_of_the_whole_engine_each_time(url: str):
    assert live_engine(url, random_engine_schedule(13)) == live_engine(url, random_engine_schedule(13))


def test_a_schedule_of_the_whole_engine_is_read_back_as_it_was_printed():
    for seed in range(50):
        schedule = random_engine_schedule(seed)
        assert EngineSchedule.from_json(schedule.as_json()) == schedule


EVENT = PlannedStep("event", inner="open")
FAILOVER = Happening(0.3, "failover", lasts_s=1.5)
READS = tuple(PlannedStep("read") for _ in range(4))
DROP = "BEFORE INSERT ON {} FOR EACH ROW {} EXECUTE FUNCTION broken_drop()"

# Each breaks one promise in the database itself, and must be found out: a check that cannot fail holds nothing.
BREAKS = {
    "an event that came is told to nobody": (
        EngineSchedule(1, (EVENT,), workers=1),
        [DROP.format("inbox", "WHEN (NEW.kind = 'event')")],
        "runs have not ended",
    ),
    "an event that came in time is forgotten": (
        EngineSchedule(2, (replace(EVENT, inner="timeout"),), (Happening(1.0, "event"),), workers=1),
        [DROP.format("inbox", "WHEN (NEW.kind = 'event')"), DROP.format("event_taken", "")],
        "its event came at",
    ),
    "a queue lets everybody through": (
        EngineSchedule(3, READS, runs=4, at_once=1),
        ["BEFORE INSERT ON run_queue FOR EACH ROW EXECUTE FUNCTION broken_gate()"],
        "the queue lets 1 run at once",
    ),
    "lists keep what they showed first": (
        EngineSchedule(4, READS[:1]),
        ["BEFORE UPDATE ON run_view FOR EACH ROW EXECUTE FUNCTION broken_drop()"],
        "lists show status",
    ),
    "a server that took over is not seen to be another": (
        EngineSchedule(5, (PlannedStep("pause", inner="400ms"), PlannedStep("lookup", (0,))), (FAILOVER,)),
        ["BEFORE INSERT ON server_history FOR EACH ROW EXECUTE FUNCTION broken_history()"],
        "happened 2 times",
    ),
}
FUNCTIONS = {"drop": "RETURN NULL", "gate": "NEW.gate := NULL; RETURN NEW", "history": "NEW.broke := false; RETURN NEW"}


@pytest.mark.parametrize("what", BREAKS)
def test_a_database_that_breaks_a_promise_is_found_out(what: str, url: str):
    schedule, triggers, found = BREAKS[what]
    assert engine_failure(url, schedule) is None
    with psycopg.connect(url, autocommit=True) as connection:
        for name, body in FUNCTIONS.items():
            begin = f"CREATE FUNCTION broken_{name}() RETURNS trigger LANGUAGE plpgsql"
            connection.execute(f"{begin} AS $$ BEGIN {body}; END $$")  # type: ignore[arg-type]  (written here)
        for number, trigger in enumerate(triggers):
            connection.execute(f"CREATE TRIGGER broken_{number} {trigger}")  # type: ignore[arg-type]  (likewise)
    error = engine_failure(url, schedule)
    assert isinstance(error, BrokenError)
    assert found in str(error)
