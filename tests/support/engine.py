"""A real worker on a real database, with handlers that tests script."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, Awaitable, Callable, Mapping, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import Any
from uuid import UUID

from signoff.core.actors import Actor
from signoff.core.clock import Clock, SystemClock
from signoff.core.errors import NotFoundError, StepError
from signoff.foundation.database import DEFAULT_ORG_ID, Database
from signoff.runtime import RuntimeSettings, StartRequest, Worker, cancel_run, client, start_run
from signoff.runtime.client import RunSummary
from signoff.runtime.handlers import Done, Effect, Message, StepCall, StepHandler, Waiting
from signoff.workflows import compile_workflow
from signoff.workflows.model import Contract, Contracts, Workflow

RELEASE = "r" * 64
ACTOR = Actor(DEFAULT_ORG_ID, "user", "ana", frozenset({"support-agent"}))
OBJECT: dict[str, Any] = {"type": "object", "additionalProperties": True}
FAST = RuntimeSettings(lease_s=2.0, heartbeat_s=0.3, poll_s=0.2, park_after_s=0.2)

Behaviour = Callable[[StepCall], Awaitable[Done | Waiting] | Done | Waiting]


@dataclass
class Releases:
    """Releases in memory; the digest names nothing."""

    workflows: dict[str, Workflow]

    async def load(self, org_id: UUID, release: str) -> Any:
        return None

    async def workflow(self, org_id: UUID, release: str, name: str) -> Workflow:
        if name not in self.workflows:
            raise NotFoundError(f"there is no workflow {name} in release {release}")
        return self.workflows[name]


@dataclass
class ScriptedTool:
    """The verb `tool`, each target as the test says. Calls are recorded."""

    behaviours: Mapping[str, Behaviour]
    effects: Mapping[str, Effect] = field(default_factory=dict[str, Effect])
    look_ups: Mapping[str, Callable[[StepCall], Done | None]] = field(
        default_factory=dict[str, Callable[[StepCall], Done | None]]
    )
    permits: Mapping[str, Callable[[StepCall], None]] = field(default_factory=dict[str, Callable[[StepCall], None]])
    resumes: Mapping[str, Callable[[StepCall, Message | None], Done | Waiting]] = field(
        default_factory=dict[str, Callable[[StepCall, Message | None], Done | Waiting]]
    )
    answers: Mapping[str, Callable[[Mapping[str, Any]], None]] = field(
        default_factory=dict[str, Callable[[Mapping[str, Any]], None]]
    )
    verb: str = "tool"
    visible: bool = False
    forbidden: frozenset[str] = frozenset()
    calls: list[StepCall] = field(default_factory=list[StepCall])
    withdrawn: list[str] = field(default_factory=list[str])

    def effect(self, call: StepCall) -> Effect | None:
        return self.effects.get(call.step.target)

    async def permit(self, call: StepCall) -> None:
        if call.step.target in self.permits:
            self.permits[call.step.target](call)
        if call.step.target in self.forbidden:
            raise StepError("policy says no", kind="forbidden")

    async def execute(self, call: StepCall) -> Done | Waiting:
        self.calls.append(call)
        result = self.behaviours[call.step.target](call)
        return await result if isinstance(result, Awaitable) else result

    async def resume(self, call: StepCall, waiting: Waiting, message: Message | None) -> Done | Waiting:
        if call.step.target in self.resumes:
            return self.resumes[call.step.target](call, message)
        if message is None:
            return Done({"timed_out": True}, result="expired", readable=False)
        return Done({"answer": message.data.get("answer")}, result=message.data.get("result", "done"))

    async def look_up(self, call: StepCall) -> Done | None:
        return self.look_ups[call.step.target](call)

    def check_answer(self, call: StepCall, output: Mapping[str, Any]) -> None:
        if call.step.target in self.answers:
            self.answers[call.step.target](output)

    async def withdraw(self, call: StepCall, waiting: Waiting) -> None:
        self.withdrawn.append(call.path)


class SetHandler:
    verb = "set"

    def compute(self, call: StepCall) -> Done:
        return Done(call.arguments["set"])


HEAD = """
workflow: test/{name}
version: 1.0.0
about: A test.
owner: team/test
risk: low
input: {{type: object, additionalProperties: true, properties: {{n: {{type: integer}}}}, required: [n]}}
"""


def compiled(name: str, body: str, **tools: bool) -> Workflow:
    """A workflow; each tool that it names, with whether it has an effect (`shop__get` is `shop.get`)."""
    named = {tool.replace("__", "."): effect for tool, effect in tools.items()}
    return compile_workflow(HEAD.format(name=name) + body, f"workflows/{name}.yaml", contracts(named))


def contracts(tools: Mapping[str, bool] | None = None) -> Contracts:
    """Contracts of tools by name; the value says whether each has an effect."""
    return Contracts(tools={name: Contract(OBJECT, OBJECT, effect) for name, effect in (tools or {}).items()})


@asynccontextmanager
async def running(
    database: Database,
    workflows: list[Workflow],
    tool: ScriptedTool,
    settings: RuntimeSettings = FAST,
    *,
    clock: Clock | None = None,
    others: Sequence[StepHandler] = (),
) -> AsyncGenerator[Worker]:
    """A worker that runs while the block lasts, then drains."""
    worker = Worker(
        database,
        handlers=[tool, *others],
        pure=[SetHandler()],
        releases=Releases({workflow.name: workflow for workflow in workflows}),
        clock=clock or SystemClock(),
        settings=settings,
    )
    task = asyncio.create_task(worker.run())
    try:
        await asyncio.wait_for(worker.ready(), 10)
        yield worker
    finally:
        worker.stop()
        await asyncio.wait_for(task, 30)


async def start(database: Database, workflow: Workflow, value: Mapping[str, Any], key: str | None = None) -> UUID:
    async with database.transaction(ACTOR.org_id) as connection:
        request = StartRequest(workflow, RELEASE, value, ACTOR, key)
        return (await start_run(connection, request, now=SystemClock().now())).run_id


async def send(database: Database, run_id: UUID, path: str, data: Mapping[str, Any], kind: str = "signal") -> None:
    async with database.transaction(ACTOR.org_id) as connection:
        await client.send_message(
            connection,
            org_id=ACTOR.org_id,
            run_id=run_id,
            path=path,
            kind=kind,
            data=data,
            sent_by="user/ana",
            now=SystemClock().now(),
        )


async def cancel(database: Database, run_id: UUID) -> None:
    """A person cancels the run."""
    async with database.transaction(ACTOR.org_id) as connection:
        await cancel_run(connection, actor=ACTOR, run_id=run_id, reason="stop", now=SystemClock().now())


async def until(
    database: Database, run_id: UUID, reached: Callable[[RunSummary], bool], timeout_s: float = 20
) -> RunSummary:
    """The run once it is as asked for; fails with its journal otherwise."""
    deadline = asyncio.get_running_loop().time() + timeout_s
    while True:
        async with database.transaction(ACTOR.org_id) as connection:
            summary = await client.read_run(connection, ACTOR.org_id, run_id)
            if reached(summary):
                return summary
            if asyncio.get_running_loop().time() > deadline:
                events = await client.read_journal(connection, ACTOR.org_id, run_id)
                journal = "\n".join(f"{event.seq} {event.kind} {dict(event.data)}" for event in events)
                raise AssertionError(f"still {summary.status}, waiting for {summary.waiting_for}:\n{journal}")
        await asyncio.sleep(0.01)


async def ended(database: Database, run_id: UUID, timeout_s: float = 20) -> RunSummary:
    return await until(
        database, run_id, lambda summary: summary.status in {"done", "failed", "cancelled", "terminated"}, timeout_s
    )


async def journal(database: Database, run_id: UUID) -> list[client.JournalEvent]:
    async with database.transaction(ACTOR.org_id) as connection:
        return await client.read_journal(connection, ACTOR.org_id, run_id)


async def eventually(reached: Callable[[], bool | Awaitable[bool]], timeout_s: float = 20) -> None:
    """Return once it is so."""
    deadline = asyncio.get_running_loop().time() + timeout_s
    while True:
        answer = reached()
        if await answer if isinstance(answer, Awaitable) else answer:
            return
        assert asyncio.get_running_loop().time() < deadline, "it never came to that"
        await asyncio.sleep(0.01)


async def somebody_waits(database: Database) -> None:
    """Return once a statement in this database waits for another's lock."""
    blocked = """
    SELECT count(*) > 0 FROM pg_stat_activity
    WHERE datname = current_database() AND cardinality(pg_blocking_pids(pid)) > 0
    """
    async with database.worker_connection() as connection:
        await eventually(lambda: connection.fetchval(blocked))


async def unwinding(database: Database, run_id: UUID) -> None:
    """Return once nothing new starts in the run."""

    async def reached() -> bool:
        return any(event.kind == "run.unwinding" for event in await journal(database, run_id))

    await eventually(reached)


def waits_for(kind: str) -> Callable[[RunSummary], bool]:
    """Whether a run has left memory for that kind of wait alone."""

    def reached(run: RunSummary) -> bool:
        return run.status == "waiting" and [entry["kind"] for entry in run.waiting_for] == [kind]

    return reached


def lost(call: StepCall) -> Done:
    """The answer of a call that was sent never comes."""
    raise StepError("no answer", kind="timeout", retryable=True, outcome_unknown=True)
