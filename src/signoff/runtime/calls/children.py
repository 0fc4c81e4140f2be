"""Start a run for a step that calls a workflow, and find it again."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from datetime import datetime
from typing import Any, cast
from uuid import UUID

import orjson

from signoff.core.ids import uuid7
from signoff.core.labels import BOTTOM, Labels
from signoff.core.money import Cost
from signoff.foundation.database import Connection
from signoff.runtime.artifacts import MARK, fetch, find_references, put_back
from signoff.runtime.calls import store
from signoff.runtime.client.beginning import Beginning, begin
from signoff.runtime.client.model import StartRequest
from signoff.runtime.events import decode
from signoff.runtime.handlers import RunFacts
from signoff.workflows.model import Step, Workflow

END_BYTES = 16_777_216
"""Size of the values that the end of one run may name by reference."""

CALLING = frozenset(("call", "agent", "plan"))
"""Verbs whose steps may call a workflow."""

CHILD_ENDED = "child.ended"
"""Kind of the message that tells a step how the run that it called has ended."""


@dataclass(frozen=True, slots=True)
class ChildStart:
    """A workflow to call.

    Attributes:
        parent: the run that calls.
        path: the step that calls.
        attempt: which try of it, over all of its generations.
        detached: nobody waits for its end.
        labels: of each field of the input.
        control: of what decided that it is called.
        cost_left: what the caller may still spend: the called run may spend no more, whatever its own limit is. None
            where the caller has no limit, or does not wait.
    """

    request: StartRequest
    parent: RunFacts
    path: str
    attempt: int
    detached: bool
    labels: Mapping[str, Labels] = field(default_factory=dict[str, Labels])
    cost_left: Cost | None = None
    control: Labels = BOTTOM


@dataclass(frozen=True, slots=True)
class Child:
    """A run that was called. `end`: the data of its `run.ended`, where it has ended already; `usage`: up to then."""

    run_id: UUID
    end: Mapping[str, Any] | None = None
    usage: Mapping[str, Any] | None = None


async def start_child(connection: Connection, start: ChildStart, *, now: datetime) -> Child:
    """The run of this try: started now, or found where a worker died before it could say so."""
    parent = start.parent
    run_id = uuid7(time_ms=int(now.timestamp() * 1000))
    key = (parent.run_id, start.path, start.attempt)
    if await connection.fetchval(store.CALL, *key, parent.org_id, run_id) is None:
        found = await find_child(connection, *key)
        assert found is not None
        return found
    beginning = Beginning.of(start.request, run_id, "", now=now)
    told: dict[str, Any] = {
        "run_id": str(parent.run_id),
        "path": start.path,
        "attempt": start.attempt,
        "depth": parent.depth + 1,
        "detached": start.detached,
        "labels": {name: labels.as_dict() for name, labels in start.labels.items()},
        "control": start.control.as_dict(),
    }
    if start.cost_left is not None:
        told["cost_left_micro_usd"] = start.cost_left.micro_usd
    if parent.ceilings and not start.detached:
        told["ceilings"] = [(str(whose), most.micro_usd) for whose, most in parent.ceilings]
    await begin(connection, replace(beginning, started={**beginning.started, "parent": told}), now=now)
    return Child(run_id)


async def find_child(connection: Connection, parent_id: UUID, path: str, attempt: int) -> Child | None:
    """The run that this try started; none where it started none."""
    row = await connection.fetchrow(store.CALLED, parent_id, path, attempt)
    if row is None:
        return None
    run_id = row["child_id"]
    end = await connection.fetchval(store.END, run_id)
    if end is None:
        return Child(run_id)
    data = cast("Mapping[str, Any]", decode(end))
    if MARK in data:  # the caller gets the value, as a reference means something in the called run's journal alone
        values, _ = await fetch(connection, row["org_id"], run_id, find_references(data), most_bytes=END_BYTES)
        data = put_back(data, values)
    usage = await connection.fetchval(store.USAGE, run_id)
    return Child(run_id, data, None if usage is None else orjson.loads(usage))


def end_told(run_id: UUID, end: Mapping[str, Any], usage: Mapping[str, Any] | None) -> dict[str, Any]:
    """How a run ended, and what it used, as whoever called it is told."""
    names = ("status", "outcome", "output", "labels", "fields", "error")
    told = {name: end[name] for name in names if end.get(name) is not None}
    return {"run_id": str(run_id), **told, "usage": usage}


def may_call(workflow: Workflow) -> bool:
    """Whether its runs may call others and wait for them; of code that is not known."""
    return workflow.python is not None or any(_calls(step) for step in workflow.steps)


def _calls(step: Step) -> bool:
    waits = step.verb in CALLING and not step.settings.get("detach")
    return waits or any(_calls(inner) for inner in (*step.body, *step.fallback))
