"""`python -m tests.simulation`: thousands of schedules, or one again.

python -m tests.simulation --count 10000            # seeds 0 to 9,999
python -m tests.simulation --seed 4711              # that one, and if it fails, the smallest that does
python -m tests.simulation --schedule shrunk.json   # one as it was printed

With `--engine` before any of these: the whole engine (waits, calls, queues, breakers, operations, Python, endless
loops, failovers) on PostgreSQL itself, under the same clock.
"""

from __future__ import annotations

import argparse
import os
import sys
import time
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parents[1]))

if "PYTHONHASHSEED" not in os.environ:  # sets of texts have the order of their hashes: the same one again, please
    os.execve(
        sys.executable, [sys.executable, "-m", "tests.simulation", *sys.argv[1:]], {**os.environ, "PYTHONHASHSEED": "0"}
    )

from tests.simulation.engine_running import Totals, engine_failure, engine_server, live_engine, shrunk_engine
from tests.simulation.engine_schedule import EngineSchedule, random_engine_schedule
from tests.simulation.running import failure_of, live, shrunk
from tests.simulation.schedule import Schedule, random_schedule
from tests.simulation.telling import told


def main() -> int:
    arguments = _arguments()
    if arguments.engine:
        with engine_server() as url:
            return _engine(arguments, url)
    if arguments.schedule is not None:
        return _one(Schedule.from_json(arguments.schedule.read_text()))
    if arguments.seed is not None:
        return _one(random_schedule(arguments.seed))
    began_s, events, effects, virtual_s = time.monotonic(), 0, 0, 0.0
    for number in range(arguments.count):
        schedule = random_schedule(arguments.first + number)
        try:
            lived = live(schedule)
        except Exception:  # noqa: BLE001  (whatever breaks is what was looked for)
            return _one(schedule)
        events += sum(len(journal) for journal in lived.journals)
        effects += lived.effects
        virtual_s += lived.lasted_s
        if (number + 1) % 500 == 0:
            print(f"{number + 1} schedules hold after {time.monotonic() - began_s:.0f} s", flush=True)
    took_s = time.monotonic() - began_s
    print(
        f"{arguments.count} schedules from seed {arguments.first}: all hold. {events} events, {effects} effects,"
        f" {virtual_s / 3600:.1f} simulated hours, in {took_s:.0f} s"
    )
    return 0


def _engine(arguments: argparse.Namespace, url: str) -> int:
    if arguments.schedule is not None:
        return _one_of_engine(url, EngineSchedule.from_json(arguments.schedule.read_text()))
    if arguments.seed is not None:
        return _one_of_engine(url, random_engine_schedule(arguments.seed))
    began_s, done = time.monotonic(), Totals()
    for number in range(arguments.count):
        schedule = random_engine_schedule(arguments.first + number)
        try:
            done.add(live_engine(url, schedule)[0])
        except Exception:  # noqa: BLE001  (whatever breaks is what was looked for)
            return _one_of_engine(url, schedule)
        if (number + 1) % 100 == 0:
            print(f"{number + 1} schedules hold after {time.monotonic() - began_s:.0f} s", flush=True)
    took_s = time.monotonic() - began_s
    print(f"{arguments.count} schedules from seed {arguments.first}: all hold. {done}, in {took_s:.0f} s")
    return 0


def _one_of_engine(url: str, schedule: EngineSchedule) -> int:
    if engine_failure(url, schedule) is None:
        print(f"seed {schedule.seed} holds")
        return 0
    print(told(schedule, *shrunk_engine(url, schedule), options=" --engine"))
    return 1


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m tests.simulation", description=__doc__)
    parser.add_argument("--engine", action="store_true", help="the whole engine, on PostgreSQL")
    parser.add_argument("--count", type=int, default=1000, help="how many schedules")
    parser.add_argument("--first", type=int, default=0, help="the first seed")
    parser.add_argument("--seed", type=int, help="one seed")
    parser.add_argument("--schedule", type=Path, help="a schedule's JSON, as it was printed")
    return parser.parse_args()


def _one(schedule: Schedule) -> int:
    if failure_of(schedule) is None:
        print(f"seed {schedule.seed} holds")
        return 0
    print(told(schedule, *shrunk(schedule)))
    return 1


if __name__ == "__main__":
    sys.exit(main())
