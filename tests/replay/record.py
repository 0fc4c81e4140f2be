"""Record a journal for the replay tests: of a run in a database, or of a simulated schedule.

    python -m tests.replay.record NAME --seed 4711
    python -m tests.replay.record NAME --engine --seed 4711 --number 2  # its third run
    python -m tests.replay.record NAME --engine --schedule schedule.json
    python -m tests.replay.record NAME --database postgresql://… --run RUN_ID

Writes journals/NAME.json and prints what it folds to today, for EXPECTED in test_replay_journals.py. A journal that is
there already is never written again: it is what an engine of then wrote.
"""

from __future__ import annotations

import argparse
import asyncio
import pprint
import sys
from collections.abc import Sequence
from pathlib import Path
from uuid import UUID

import orjson

sys.path.insert(0, str(Path(__file__).parents[1]))

from tests.replay.test_replay_journals import JOURNALS, summary
from tests.simulation.engine_running import engine_server, live_engine
from tests.simulation.engine_schedule import EngineSchedule, random_engine_schedule
from tests.simulation.running import recorded
from tests.simulation.schedule import random_schedule

from signoff.foundation.database import DEFAULT_ORG_ID, Database
from signoff.foundation.settings import DatabaseSettings
from signoff.runtime.client import read_journal
from signoff.runtime.events import Event
from signoff.runtime.state import fold


async def of_run(url: str, run_id: UUID) -> list[Event]:
    """The journal of a run in a database."""
    async with (
        await Database.open(DatabaseSettings(url=url)) as database,
        database.transaction(DEFAULT_ORG_ID) as connection,
    ):
        events = await read_journal(connection, DEFAULT_ORG_ID, run_id, limit=1_000_000)
    return [Event(event.seq, event.kind, event.recorded_at, event.data) for event in events]


def write(name: str, events: Sequence[Event]) -> None:
    """Keep a journal, and say what it means."""
    rows = [
        {"seq": event.seq, "kind": event.kind, "recorded_at": event.recorded_at, "data": event.data} for event in events
    ]
    with (JOURNALS / f"{name}.json").open("xb") as file:
        file.write(orjson.dumps(rows, option=orjson.OPT_INDENT_2 | orjson.OPT_UTC_Z))
    pprint.pp({name: summary(fold(events))}, width=110)


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m tests.replay.record", description=__doc__)
    parser.add_argument("name")
    parser.add_argument("--seed", type=int, help="of a simulated schedule, whose first run is recorded")
    parser.add_argument("--database", help="the database's URL")
    parser.add_argument("--run", type=UUID, help="the run in it")
    parser.add_argument("--engine", action="store_true", help="the schedule is one of the whole engine")
    parser.add_argument("--number", type=int, default=0, help="which of its runs, from 0")
    parser.add_argument("--schedule", type=Path, help="of the whole engine, instead of a seed")
    arguments = parser.parse_args()
    if arguments.engine:
        text = None if arguments.schedule is None else arguments.schedule.read_text()
        schedule = random_engine_schedule(arguments.seed) if text is None else EngineSchedule.from_json(text)
        with engine_server() as url:
            number: int = arguments.number
            write(arguments.name, live_engine(url, schedule)[1][number])
    elif arguments.seed is not None:
        write(arguments.name, recorded(random_schedule(arguments.seed)))
    else:
        write(arguments.name, asyncio.run(of_run(arguments.database, arguments.run)))


if __name__ == "__main__":
    main()
