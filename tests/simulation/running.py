"""Run schedules, and make one that fails as small as it still fails."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from functools import lru_cache
from typing import Any, TypeVar

from tests.simulation.checks import check
from tests.simulation.journals import events_of
from tests.simulation.memory_database import STATEMENTS, Statements
from tests.simulation.schedule import Schedule
from tests.simulation.virtual_loop import run_virtually
from tests.simulation.world import simulated
from tests.support.engine import compiled

from signoff.runtime.events import Event
from signoff.workflows.model import Workflow

SHRINKING_TRIES = 200
S = TypeVar("S", bound=Schedule)


@dataclass(frozen=True)
class Lived:
    """What came of a schedule that held.

    Attributes:
        journals: kinds and steps of each run's events, in order.
        effects: how many effects were performed.
        lasted_s: on the simulation's clock.
    """

    journals: tuple[tuple[str, ...], ...]
    effects: int
    lasted_s: float


@lru_cache(maxsize=64)
def _compiled(document: str) -> Workflow:
    return compiled("simulated", document, read=False, lookup=True, resend=True, ask=True, wait=False, undo=True)


def live(schedule: Schedule, statements: Statements = STATEMENTS) -> Lived:
    """Live a schedule and check what always holds.

    Raises:
        BrokenError: something does not hold.
    """
    flow = _compiled(schedule.document())

    async def main() -> Lived:
        simulation = simulated(schedule, flow, statements)
        await simulation.live()
        check(simulation)
        journals = tuple(
            tuple(f"{event.kind} {event.data.get('step', '')}" for event in events_of(simulation.store, run_id))
            for run_id in simulation.runs
        )
        return Lived(journals, simulation.world.performed.total(), asyncio.get_running_loop().time())

    return run_virtually(main())


def recorded(schedule: Schedule) -> list[Event]:
    """The journal of a schedule's first run."""

    async def main() -> list[Event]:
        simulation = simulated(schedule, _compiled(schedule.document()))
        await simulation.live()
        check(simulation)
        return events_of(simulation.store, simulation.runs[0])

    return run_virtually(main())


def failure_of(schedule: Schedule, statements: Statements = STATEMENTS) -> Exception | None:
    """How a schedule fails, or none."""
    try:
        live(schedule, statements)
    except Exception as error:  # noqa: BLE001  (whatever breaks is what was looked for)
        return error
    return None


def shrunk(
    schedule: Schedule, statements: Statements = STATEMENTS, *, most_tries: int = SHRINKING_TRIES
) -> tuple[Schedule, Exception]:
    """The smallest schedule found that still fails, and how it fails."""
    return shrunk_by(lambda one: failure_of(one, statements), schedule, most_tries=most_tries)


def shrunk_by(
    fails: Callable[[S], Exception | None], schedule: S, *, most_tries: int = SHRINKING_TRIES
) -> tuple[S, Exception]:
    """The same, by whatever tells how a schedule fails."""
    error = fails(schedule)
    assert error is not None
    tries, progress = 0, True
    while progress and tries < most_tries:
        progress = False
        for smaller in _smaller(schedule):
            tries += 1
            found = fails(smaller)
            if found is not None:
                schedule, error, progress = smaller, found, True
                break
    return schedule, error


def _smaller(schedule: Schedule) -> Iterator[Any]:
    """Schedules with something less, the largest parts first."""
    happenings = schedule.happenings
    if len(happenings) > 1:
        half = len(happenings) // 2
        yield replace(schedule, happenings=happenings[:half])
        yield replace(schedule, happenings=happenings[half:])
    for index in range(len(happenings)):
        yield replace(schedule, happenings=happenings[:index] + happenings[index + 1 :])
    if schedule.runs > 1:
        yield replace(schedule, runs=1)
    if schedule.workers > 1:
        yield replace(schedule, workers=schedule.workers - 1)
    if len(schedule.steps) > 1:
        yield from (schedule.without_step(index) for index in range(len(schedule.steps)))
    for index, step in enumerate(schedule.steps):
        for simpler in (
            replace(step, results=("ok",)),
            replace(step, results=step.results[:1]),
            replace(step, follows=()),
            replace(step, caught=False),
            replace(step, reviewed=False),
            replace(step, kind="do") if step.kind in ("for", "repeat") else step,
        ):
            if simpler != step:
                yield replace(schedule, steps=(*schedule.steps[:index], simpler, *schedule.steps[index + 1 :]))
