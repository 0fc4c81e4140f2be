"""Random small workflows, random results, and a worker that is declared dead at random: what holds whatever happens.

- The state in memory is the fold of the journal.
- Every effect that was intended came to one end, and was performed as often as the sink of its key says: at most once.
- Compensations are those of the effects that were done, in the reverse of the order in which they were done.
- A run that has not ended has a moment to come, or somebody it waits for.
"""

from __future__ import annotations

import asyncio
import uuid
from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import Any
from uuid import UUID

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from support.engine import FAST, Releases, ScriptedTool, SetHandler, compiled, journal, running, send, start, until

from signoff.core.clock import SystemClock
from signoff.core.errors import ConflictError, StepError
from signoff.foundation.database import Database
from signoff.foundation.settings import DatabaseSettings
from signoff.runtime import store
from signoff.runtime.breakers import Breakers, BreakerSettings
from signoff.runtime.claims import store as claims_store
from signoff.runtime.engine import Engine
from signoff.runtime.events import Event
from signoff.runtime.handlers import Done, Effect, Message, StepCall, Waiting
from signoff.runtime.journal import Journal
from signoff.runtime.loading import Loader
from signoff.runtime.slots import Slots
from signoff.runtime.state import RunState, fold
from signoff.workflows.model import Workflow

RESULTS: tuple[str, ...] = ("ok", "ok", "ok", "busy", "refused", "lost before", "lost after", "bug")
QUICK = FAST.model_copy(update={"poll_s": 0.05, "park_after_s": 0.02, "lease_s": 1.0, "heartbeat_s": 0.1})


@dataclass
class Plan:
    """A workflow as data: per step its kind, what it follows, how each of its tries ends; and what the tools saw."""

    kinds: list[str]
    follows: list[list[int]]
    results: list[list[str]]
    fenced_at: int
    performed: Counter[str] = field(default_factory=Counter[str])
    tries: Counter[str] = field(default_factory=Counter[str])

    def document(self) -> str:
        lines = ["steps:"]
        for index, kind in enumerate(self.kinds):
            after = f"after: [{', '.join(f's{other}' for other in self.follows[index])}], "
            undo = ", undo: {tool: undo, with: {}}" if kind in ("lookup", "resend") else ""
            retry = "retry: {times: 2, delay: 10ms, backoff: 1}"
            body = f"set: {{n: {index}}}" if kind == "set" else f"tool: {kind}, with: {{n: {index}}}, {retry}{undo}"
            lines.append(f"  s{index}: {{{after}{body}}}")
        return "\n".join([*lines, "outcome: {ok: s0.done || !s0.done}", ""])

    def next_result(self, path: str) -> str:
        """How this try ends; the last entry of a step's list is for good."""
        self.tries[path] += 1
        if path.endswith("/undo"):
            return "ok"
        results = self.results[int(path[1:])]
        return results[min(self.tries[path], len(results)) - 1]


@st.composite
def plans(draw: st.DrawFn, kinds: tuple[str, ...] = ("set", "read", "lookup", "resend", "ask", "wait")) -> Plan:
    size = draw(st.integers(1, 5))
    chosen = draw(st.lists(st.sampled_from(kinds), min_size=size, max_size=size))
    follows = [sorted(draw(st.sets(st.integers(0, index - 1), max_size=2))) if index else [] for index in range(size)]
    results: list[list[str]] = [draw(st.lists(st.sampled_from(RESULTS), min_size=1, max_size=3)) for _ in range(size)]
    return Plan(chosen, follows, results, draw(st.integers(0, 12)))


class Tools(ScriptedTool):
    """Tools that act, or fail, as the plan says; the first call of the plan's number loses its worker the session."""

    def __init__(self, plan: Plan, database: Database) -> None:
        super().__init__({})
        self._plan, self._database = plan, database
        self._calls = 0

    def effect(self, call: StepCall) -> Effect | None:
        target = call.step.target
        if target == "undo":
            return Effect("resend")
        return Effect(target) if target in ("lookup", "resend", "ask") else None  # type: ignore[arg-type]  # it is one

    async def execute(self, call: StepCall) -> Done | Waiting:
        plan, key = self._plan, call.idempotency_key
        result = plan.next_result(call.path)
        self._calls += 1
        if call.step.target == "wait":
            return Waiting("answer")
        if key is not None and call.step.target == "resend" and plan.performed[key] and result in ("refused", "bug"):
            result = "ok"  # who honours keys answers as before
        if result == "lost before":
            raise StepError("no answer", kind="timeout", retryable=True, outcome_unknown=True)
        if result == "refused":
            raise StepError("no", kind="refused")
        if result == "busy":
            raise StepError("busy", kind="busy", retryable=True)
        if key is not None and not (call.step.target in ("resend", "undo") and plan.performed[key]):
            plan.performed[key] += 1  # a tool that is sent again by key has promised to act once
        if self._calls == plan.fenced_at:
            async with self._database.worker_connection() as connection:
                await connection.execute("DELETE FROM worker_session")
        if result == "lost after":
            raise StepError("no answer", kind="timeout", retryable=True, outcome_unknown=True)
        if result == "bug":
            raise KeyError("bug")
        return Done({})

    async def look_up(self, call: StepCall) -> Done | None:
        assert call.idempotency_key is not None
        return Done({}) if self._plan.performed[call.idempotency_key] else None


@pytest.mark.timeout(300)
@settings(max_examples=25, deadline=None, derandomize=True, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(plan=plans())
def test_whatever_happens(database_url: str, plan: Plan):
    asyncio.run(checked(database_url, plan))


async def checked(url: str, plan: Plan) -> None:
    flow = compiled("random", plan.document(), read=False, lookup=True, resend=True, ask=True, wait=False, undo=True)
    async with await Database.open(DatabaseSettings(url=url)) as database:
        run_id = await start(database, flow, {})
        await lived(database, flow, plan, run_id)
        events = await journal(database, run_id)
        assert [event.seq for event in events] == list(range(1, len(events) + 1))
        recorded = fold(Event(event.seq, event.kind, event.recorded_at, event.data) for event in events)
        check(plan, recorded, [(event.seq, event.kind, event.data) for event in events])
        async with database.worker_connection() as connection:
            assert await connection.fetchval("SELECT count(*) FROM run_queue") == 0


async def lived(database: Database, flow: Workflow, plan: Plan, run_id: UUID) -> None:
    """Live the run to its end, on as many sessions as it takes. People answer whatever is asked."""
    async with running(database, [flow], Tools(plan, database), QUICK):
        for _ in range(100):
            summary = await until(
                database, run_id, lambda run: run.status in ("waiting", "done", "failed", "cancelled")
            )
            if summary.ended_at is not None:
                return
            assert summary.waiting_for  # it has left memory for somebody, or for a moment
            for entry in summary.waiting_for:
                await answer(database, run_id, entry, plan)
            await asyncio.sleep(0.02)
    raise AssertionError("it never ended")


@pytest.mark.timeout(300)
@settings(max_examples=25, deadline=None, derandomize=True, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(plan=plans(kinds=("set", "read", "lookup", "resend")))
def test_the_state_in_memory_is_the_fold_of_the_journal(database_url: str, plan: Plan):
    asyncio.run(compared(database_url, replace(plan, fenced_at=0)))


def unreported(org_id: UUID, run_id: UUID, path: str, data: Mapping[str, Any]) -> None:
    """No session is lost here."""


async def compared(url: str, plan: Plan) -> None:
    """A run driven without a session's loops, so that its state can be looked at when it has left memory."""
    flow = compiled("random", plan.document(), read=False, lookup=True, resend=True, undo=True)
    async with await Database.open(DatabaseSettings(url=url)) as database, database.worker_connection() as connection:
        run_id, session_id = await start(database, flow, {}), uuid.uuid4()
        await connection.execute(store.OPEN_SESSION, session_id, "here", 1, 600.0)
        left: asyncio.Future[bool] = asyncio.get_running_loop().create_future()
        writer = Journal(database, session_id, flush_events=100, rejected=lambda _, error: left.set_exception(error))

        async def read_inbox(_: UUID) -> tuple[list[tuple[str, Message]], int]:
            raise AssertionError("nobody sends anything")

        engine = Engine(
            database=database,
            journal=writer,
            handlers={"tool": Tools(plan, database)},
            pure={"set": SetHandler()},
            clock=SystemClock(),
            settings=QUICK.model_copy(update={"park_after_s": 60.0}),
            slots=Slots(8),
            lease_holds=lambda: True,
            gone=lambda _, ended: left.set_result(ended),
            read_inbox=read_inbox,
            report=unreported,
            failed=lambda _, error: left.set_exception(error),
            draining=lambda: False,
            wake=lambda _: None,
            chance=lambda: 0.5,
            breakers=Breakers(database, clock=SystemClock(), settings=BreakerSettings(), chance=lambda: 0.5),
        )
        claimed = await connection.fetch(claims_store.CLAIM, session_id, SystemClock().now(), 1, 2**40, True)
        [run] = await Loader(engine, Releases({flow.name: flow})).load(connection, claimed, session_id)
        writing = asyncio.create_task(writer.run())
        run.advance()
        await asyncio.wait_for(left, 60)
        writing.cancel()
        await asyncio.gather(writing, return_exceptions=True)
        events = await journal(database, run_id)
        assert run.state == fold(Event(event.seq, event.kind, event.recorded_at, event.data) for event in events)


async def answer(database: Database, run_id: UUID, entry: Mapping[str, Any], plan: Plan) -> None:
    """What a person does who looks: the truth, where an effect's outcome is asked for."""
    path = str(entry["step"])
    try:
        if entry["kind"] == "answer":
            await send(database, run_id, path, {"answer": 1})
        elif entry["kind"] == "outcome_unknown":
            happened = plan.performed[f"{run_id}/{path}"] > 0
            data: dict[str, Any] = {"resolution": "failed"}
            if happened:
                data = {"resolution": "happened", "output": {}}
            await send(database, run_id, path, data, "effect.resolution")
    except ConflictError:
        return  # it ended meanwhile


def check(plan: Plan, state: RunState, events: list[tuple[int, str, Mapping[str, Any]]]) -> None:
    assert state.end is not None
    assert all(count == 1 for count in plan.performed.values()), plan.performed
    ends = Counter(data["step"] for _, kind, data in events if kind == "step.ended")
    assert set(ends.values()) <= {1}  # every step ends once
    for record in state.steps.values():
        if record.key is not None:
            assert record.state is not None
            happened = plan.performed[record.key] > 0
            assert (record.state.status == "done") == happened, (record.path, record.state.status, happened)
    assert ends.keys() >= {f"s{index}" for index in range(len(plan.kinds))}
    done = [
        data["step"]
        for _, kind, data in events
        if kind == "step.ended" and data["status"] == "done" and "/" not in data["step"]
    ]
    undoable = [name for name in done if plan.kinds[int(name[1:])] in ("lookup", "resend")]
    undone = [
        data["step"].partition("/")[0] for _, kind, data in events if kind == "step.ended" and "/" in data["step"]
    ]
    if state.end["status"] == "done":
        assert undone == []
    else:
        assert undone == undoable[::-1]
