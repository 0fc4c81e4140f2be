"""Starts with options, and tools that count how many runs are at them at once."""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import UUID

from support.engine import ACTOR, RELEASE, compiled

from signoff.foundation.database import Database
from signoff.runtime import StartRequest, start_run
from signoff.runtime.client import RunStarted
from signoff.runtime.handlers import Done, StepCall
from signoff.runtime.queues import Bounds, Queue, QueuePlace, queue_path
from signoff.workflows.model import Workflow

NOON = datetime(2026, 3, 2, 12, 0, tzinfo=UTC)

ONE_STEP = "steps:\n  a: {tool: work, with: {n: '${input.n}'}}\noutcome: {ok: a.done}\n"


def one_step(name: str = "one") -> Workflow:
    """A workflow of one call of the tool `work`."""
    return compiled(name, ONE_STEP, work=False)


class FakeClock:
    """Time that moves only when a test says so."""

    def __init__(self, at: datetime = NOON) -> None:
        self.at = at

    def now(self) -> datetime:
        return self.at

    def monotonic_s(self) -> float:
        return self.at.timestamp()

    async def sleep(self, seconds: float) -> None:
        await asyncio.sleep(0)

    def pass_s(self, seconds: float) -> datetime:
        self.at += timedelta(seconds=seconds)
        return self.at


def place(queue: Queue, key: str | None = None) -> QueuePlace:
    return QueuePlace(queue, queue_path("dev", "test", queue.name), key)


def bounded(name: str = "refunds", concurrency: int | None = None, **options: Any) -> Queue:
    return Queue(name, whole=Bounds(concurrency, options.pop("rate", None)), **options)


async def begin(
    database: Database,
    workflow: Workflow,
    value: Mapping[str, Any] | None = None,
    *,
    now: datetime | None = None,
    **options: Any,
) -> RunStarted:
    """Start a run with options of `StartRequest`."""
    async with database.transaction(ACTOR.org_id) as connection:
        request = StartRequest(workflow, RELEASE, value or {"n": 1}, ACTOR, **options)
        return await start_run(connection, request, now=now or datetime.now(UTC))


@dataclass
class Busy:
    """A tool that records how many runs were at it at once: altogether, by team and by key."""

    hold_s: float = 0.0
    now: int = 0
    most: int = 0
    order: list[int] = field(default_factory=list[int])
    by_label: Counter[str] = field(default_factory=Counter[str])
    most_by_label: Counter[str] = field(default_factory=Counter[str])
    held: asyncio.Event | None = None

    async def __call__(self, call: StepCall) -> Done:
        given = int(call.arguments["with"]["n"])
        label = str(given)
        self.now += 1
        self.by_label[label] += 1
        self.most = max(self.most, self.now)
        self.most_by_label[label] = max(self.most_by_label[label], self.by_label[label])
        self.order.append(given)
        if self.held is not None:
            await self.held.wait()
        await asyncio.sleep(self.hold_s)
        self.now -= 1
        self.by_label[label] -= 1
        return Done({})


SLOTS = "SELECT scope, label, slot, run_id FROM queue_slot ORDER BY scope, label, slot"


async def slots(database: Database) -> list[tuple[str, str, int]]:
    async with database.worker_connection() as connection:
        return [(row["scope"], row["label"], row["slot"]) for row in await connection.fetch(SLOTS)]


async def gates(database: Database) -> dict[UUID, str | None]:
    async with database.worker_connection() as connection:
        return {row["run_id"]: row["gate"] for row in await connection.fetch("SELECT run_id, gate FROM run_queue")}


async def at_gate(database: Database, run_id: UUID, gate: str, timeout_s: float = 20) -> None:
    """Return once a run waits there: whoever starts it does not wait for the queue's turn."""
    deadline = asyncio.get_running_loop().time() + timeout_s
    while True:
        found = await gates(database)
        if found.get(run_id) == gate:
            return
        assert asyncio.get_running_loop().time() < deadline, f"not at the gate '{gate}': {found}"
        await asyncio.sleep(0.01)


async def nothing_left(database: Database) -> None:
    """No run, slot or turn is left: nobody was forgotten."""
    async with database.worker_connection() as connection:
        counts = await connection.fetchrow(
            "SELECT (SELECT count(*) FROM run_queue) AS runs, (SELECT count(*) FROM queue_slot) AS slots"
        )
    assert counts is not None
    assert tuple(counts) == (0, 0)
