"""Scopes are found again from the journal alone: at any point of it, what begins next is what really began next."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, cast
from uuid import UUID

import pytest
from tests.support.crashing import crashing
from tests.support.engine import (
    ACTOR,
    FAST,
    Behaviour,
    ScriptedTool,
    compiled,
    ended,
    eventually,
    journal,
    running,
    start,
)

from signoff.core.clock import SystemClock
from signoff.core.errors import StepError
from signoff.foundation.database import Database
from signoff.runtime.client import JournalEvent
from signoff.runtime.context import RunContext
from signoff.runtime.documents import DocumentProgram
from signoff.runtime.events import Event
from signoff.runtime.handlers import Done, Message, RunFacts, StepCall
from signoff.runtime.program import Beginning, Program
from signoff.runtime.state import RunState, fold
from signoff.workflows.model import Workflow

NESTED = """
steps:
  base: {tool: shop.price, with: {sku: base}}
  orders:
    for: ${input.orders}
    as: order
    at_once: 2
    failures: collect
    steps:
      tries:
        repeat:
          lines:
            for: ${order.lines}
            as: line
            steps:
              price:
                tool: shop.price
                with: {sku: "${line}"}
                on_error: {steps: {ask: {tool: shop.ask, with: {sku: "${line}"}}}, give: {cents: "${ask.cents}"}}
              sum: {set: {cents: "${price.cents + base.cents}"}}
            give: {cents: "${sum.cents}"}
        until: index >= 1
        give: {cents: "${lines.items.map(item, item.cents)}"}
      check: {when: "order.id == 'bad'", after: tries, tool: shop.fail}
    give: {id: "${order.id}", cents: "${tries.cents}"}
outcome:
  all: {when: orders.done, give: {orders: "${orders.items}"}}
"""
ORDERS: list[dict[str, Any]] = [
    {"id": "o1", "lines": ["a", "odd"]},
    {"id": "bad", "lines": ["ccc"]},
    {"id": "o3", "lines": []},
]


def price(call: StepCall) -> Done:
    sku = call.arguments["with"]["sku"]
    if sku == "odd":
        raise StepError("no such thing", kind="not_found")
    return Done({"cents": len(sku)})


def fail(call: StepCall) -> Done:
    raise StepError("broken", kind="broken")


TOOLS: dict[str, Behaviour] = {"shop.price": price, "shop.ask": lambda _: Done({"cents": 9}), "shop.fail": fail}


class Rebuilt(RunContext):
    """A run as its journal has it, that only says what it would do next."""

    def __init__(self, workflow: Workflow, state: RunState, run_id: UUID) -> None:
        assert state.started_at is not None
        facts = RunFacts(
            run_id, ACTOR.org_id, workflow.name, workflow.version, "", workflow.risk, ACTOR, state.started_at
        )
        engine = cast("Any", _Engine())
        self.begun: list[str] = []
        super().__init__(engine, facts, workflow, None, state=state, gen=0)

    def make_program(self) -> Program:
        return DocumentProgram(self)

    def begin(self, beginning: Beginning) -> None:
        self.begun.append(beginning.path)

    def advance(self) -> None:
        raise AssertionError("nobody asks it to")

    def receive(self, messages: Sequence[tuple[str, Message]], gen: int) -> None:
        raise AssertionError("nobody sends to it")

    def soon(self) -> None:
        """It is asked once."""


class _Engine:
    """As much of `Engine` as a program asks for."""

    settings = FAST
    clock = SystemClock()


def events_of(entries: Sequence[JournalEvent]) -> list[Event]:
    return [Event(entry.seq, entry.kind, entry.recorded_at, entry.data) for entry in entries]


@pytest.mark.parametrize("crashes", [0, 4])
async def test_at_any_point_of_a_journal_the_same_comes_next(database: Database, crashes: int) -> None:
    workflow = compiled("replayed", NESTED, shop__price=False, shop__ask=False, shop__fail=False)
    tool = ScriptedTool(TOOLS)
    run_id = await start(database, workflow, {"orders": ORDERS})
    for crash in range(crashes):
        async with crashing(database, [workflow], tool):

            def called(most: int = crash * 2) -> bool:
                return len(tool.calls) > most

            await eventually(called)
    async with running(database, [workflow], tool):
        assert (await ended(database, run_id)).outcome == "all"
    events = events_of(await journal(database, run_id))
    assert events[-1].data["output"]["orders"] == [
        {"id": "o1", "cents": [5, 13]},
        None,
        {"id": "o3", "cents": []},
    ]
    later: dict[str, int] = {}
    for event in events:
        if event.kind in {"step.started", "step.ended"}:
            later.setdefault(event.data["step"], event.seq)
    for length in range(1, len(events)):
        state = fold(events[:length])
        if state.end is not None:
            continue
        again = Rebuilt(workflow, state, run_id)
        again.program.proceed()
        for path in again.begun:
            assert later[path] > length, f"{path} begins twice after event {length}"
