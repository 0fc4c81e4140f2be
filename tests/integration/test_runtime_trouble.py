"""What goes wrong inside and around a run: each costs at most its own step or run, and nothing is lost."""

from __future__ import annotations

import asyncio
from typing import Any

import psycopg
import pytest
from support.engine import (
    ACTOR,
    FAST,
    ScriptedTool,
    cancel,
    compiled,
    ended,
    eventually,
    journal,
    running,
    send,
    start,
    until,
)

from signoff.core.clock import SystemClock
from signoff.core.errors import ConflictError, InvalidError, LimitError, NotFoundError, StepError, UnavailableError
from signoff.core.ids import uuid7
from signoff.foundation.database import Database
from signoff.runtime import RuntimeSettings, StartRequest, client, start_run
from signoff.runtime.client import RunSummary
from signoff.runtime.handlers import Done, Effect, Message, StepCall, Waiting
from signoff.runtime.reports import REPORT_TRIES
from signoff.workflows.model import Workflow

ONE = "steps:\n  a: {tool: act, with: {}}\noutcome: {ok: a.done}\n"


class Fragile(ScriptedTool):
    """A tool whose every part breaks as the test says, the first few times."""

    def __init__(self, part: str, error: Exception, times: int) -> None:
        super().__init__({"act": self._act}, verb="tool")
        self._part, self._error, self.left = part, error, times

    def _break(self, part: str) -> None:
        if part == self._part and self.left > 0:
            self.left -= 1
            raise self._error

    def _act(self, call: StepCall) -> Done | Waiting:
        self._break("execute")
        return Waiting("answer") if self._part in ("resume", "withdraw") else Done({})

    def effect(self, call: StepCall) -> Effect | None:
        self._break("effect")
        return None

    async def permit(self, call: StepCall) -> None:
        self._break("permit")

    async def resume(self, call: StepCall, waiting: Waiting, message: Message | None) -> Done | Waiting:
        self._break("resume")
        return Done({})

    async def withdraw(self, call: StepCall, waiting: Waiting) -> None:
        self._break("withdraw")
        self.withdrawn.append(call.path)


async def through(database: Database, flow: Workflow, tool: Fragile, part: str) -> RunSummary:
    async with running(database, [flow], tool):
        run_id = await start(database, flow, {})
        if part in ("resume", "withdraw"):
            await until(database, run_id, lambda run: run.status == "waiting")
            if part == "resume":
                await send(database, run_id, "a", {})
            else:
                await cancel(database, run_id)
        return await ended(database, run_id)


@pytest.mark.parametrize("part", ["permit", "execute", "resume", "withdraw"])
async def test_a_database_that_is_away_for_a_moment_fails_no_step(database: Database, part: str):
    flow = compiled("blip", ONE, act=False)
    tool = Fragile(part, UnavailableError("PostgreSQL does not answer"), times=3)
    summary = await through(database, flow, tool, part)
    assert summary.status == ("cancelled" if part == "withdraw" else "done")
    assert tool.left == 0


@pytest.mark.parametrize("error", [KeyError("bug"), NotFoundError("no such review"), StepError("no", kind="refused")])
@pytest.mark.parametrize("part", ["effect", "permit", "execute", "resume", "withdraw"])
async def test_whatever_a_handler_raises_is_its_steps_failure(database: Database, part: str, error: Exception):
    flow = compiled("buggy", ONE, act=False)
    summary = await through(database, flow, Fragile(part, error, times=1000), part)
    assert summary.status == ("cancelled" if part == "withdraw" else "failed")
    if part != "withdraw":
        assert summary.error is not None
        assert summary.error["kind"] in {"internal", "not_found", "refused"}


@pytest.mark.parametrize("where", ["output", "wait", "arguments", "pure"])
async def test_data_that_is_too_large_fails_its_step(database: Database, where: str):
    body = {
        "arguments": "steps:\n  a: {tool: act, with: {x: '${input.x + input.x}'}}\noutcome: {ok: a.done}\n",
        "pure": "steps:\n  a: {set: {x: '${input.x + input.x}'}}\noutcome: {ok: a.done}\n",
    }
    flow = compiled("large", body.get(where, ONE), act=False)
    big = {"x": "x" * 3000}
    results: dict[str, Done | Waiting] = {"output": Done(big), "wait": Waiting("w", state=big)}
    tool = ScriptedTool({"act": lambda call: results.get(where, Done({}))})
    small = FAST.model_copy(update={"event_bytes": 2048})
    async with running(database, [flow], tool, small):
        summary = await ended(database, await start(database, flow, {"x": "x" * 1500}))
    assert summary.status == "failed"
    assert summary.error is not None
    assert summary.error["kind"] == "too_large"


@pytest.mark.parametrize("result", [Done({"x": object()}), Waiting("w", state={"x": {1}}), Done({"x": 2**70})])
async def test_data_that_is_not_plain_fails_its_step(database: Database, result: Done | Waiting):
    flow = compiled("odd", ONE, act=False)
    async with running(database, [flow], ScriptedTool({"act": lambda call: result})):
        summary = await ended(database, await start(database, flow, {}))
    assert summary.error is not None
    assert summary.error["kind"] == "contract"


async def test_an_effect_whose_answer_cannot_be_kept_goes_to_a_person(database: Database):
    """It has happened: calling it a failure would leave it without its compensation."""
    flow = compiled("unkept", ONE, act=True)
    tool = ScriptedTool({"act": lambda call: Done({"x": object()})}, {"act": Effect("ask")})
    async with running(database, [flow], tool):
        run_id = await start(database, flow, {})
        run = await until(database, run_id, lambda run: run.status == "waiting")
    assert run.waiting_for[0]["kind"] == "outcome_unknown"


async def test_text_that_postgres_cannot_hold_stops_neither_run_nor_worker(database: Database):
    flow = compiled("nul", ONE, act=False)

    def act(call: StepCall) -> Done | Waiting:
        if call.run.run_id == asking:
            return Waiting("answer", about="nul \0 inside")
        raise StepError("nul \0 and half a pair \ud800", kind="odd")

    tool = ScriptedTool({"act": act})
    asking = None
    async with running(database, [flow], tool):
        failing = await start(database, flow, {})
        summary = await ended(database, failing)
        assert summary.error is not None
        assert summary.error["detail"].startswith("nul \ufffd and half a pair")
        asking = uuid7()
        asking = await start(database, flow, {})
        await until(database, asking, lambda run: run.status in ("waiting", "failed"))
        for path, kind in (("a\0", "signal"), ("a", "sig\0nal"), ("a" * 1000, "signal")):
            with pytest.raises(InvalidError):
                await send(database, asking, path, {}, kind)


async def test_one_key_starts_one_run(database: Database):
    flow = compiled("keyed", ONE, act=False)
    first = await start(database, flow, {"n": 1, "m": {"a": 1, "b": 2}}, "key")
    assert await start(database, flow, {"m": {"b": 2, "a": 1}, "n": 1}, "key") == first
    with pytest.raises(ConflictError):
        await start(database, flow, {"n": 2}, "key")
    with pytest.raises(InvalidError):
        await start(database, flow, {"n": 2}, "k" * 1000)
    with pytest.raises(LimitError):
        await start(database, flow, {"x": "x" * 300_000})


async def test_the_second_start_with_a_key_waits_for_the_first_and_finds_its_run(database: Database):
    flow = compiled("twice", ONE, act=False)
    request = StartRequest(flow, "r" * 64, {}, ACTOR, "key")
    now = SystemClock().now()
    async with database.transaction(ACTOR.org_id) as connection:
        first = await start_run(connection, request, now=now)
        second = asyncio.create_task(start(database, flow, {}, "key"))
        await asyncio.sleep(0)
    assert await second == first.run_id


async def test_messages_to_runs_that_ended_or_never_were(database: Database):
    flow = compiled("over", ONE, act=False)
    async with running(database, [flow], ScriptedTool({"act": lambda call: Done({})})):
        run_id = await start(database, flow, {})
        await ended(database, run_id)
    with pytest.raises(ConflictError):
        await send(database, run_id, "a", {})
    with pytest.raises(NotFoundError):
        await send(database, uuid7(), "a", {})


async def test_a_message_that_comes_twice_counts_once(database: Database):
    flow = compiled("echo", ONE, act=False)
    got: list[Any] = []

    def resume(call: StepCall, message: Message | None) -> Done | Waiting:
        assert message is not None
        got.append(message.data["answer"])
        return Done({}) if len(got) == 2 else Waiting("answer")

    tool = ScriptedTool({"act": lambda call: Waiting("answer")}, resumes={"act": resume})
    async with running(database, [flow], tool):
        run_id = await start(database, flow, {})
        same = uuid7()
        for answer, message_id in ((1, same), (1, same), (1, same), (2, None)):
            async with database.transaction(ACTOR.org_id) as connection:
                await client.send_message(
                    connection,
                    org_id=ACTOR.org_id,
                    run_id=run_id,
                    path="a",
                    kind="signal",
                    data={"answer": answer},
                    sent_by="user/ana",
                    now=SystemClock().now(),
                    message_id=message_id,
                )
            if answer == 1:
                await eventually(lambda: len(got) == 1)
        assert (await ended(database, run_id)).outcome == "ok"
    assert got == [1, 2]


async def stuck(database: Database, flow: Workflow, tool: ScriptedTool) -> Any:
    """A run whose definition is not there any more."""
    async with running(database, [], tool):
        run_id = await start(database, flow, {})
        run = await until(database, run_id, lambda run: run.status == "stuck")
        assert run.error is not None
        return run_id


async def test_a_run_whose_definition_is_missing_waits_and_goes_on_when_it_is_back(database: Database):
    flow = compiled("missing", ONE, act=False)
    tool = ScriptedTool({"act": lambda call: Done({})})
    run_id = await stuck(database, flow, tool)
    async with database.worker_connection() as connection:
        await connection.execute("UPDATE run_queue SET due_at = now()")
    async with running(database, [flow], tool):
        assert (await ended(database, run_id)).outcome == "ok"


async def test_a_stuck_run_can_be_cancelled(database: Database):
    flow = compiled("hopeless", ONE, act=False)
    tool = ScriptedTool({"act": lambda call: Done({})})
    run_id = await stuck(database, flow, tool)
    await cancel(database, run_id)
    async with running(database, [], tool):
        summary = await ended(database, run_id)
    assert summary.status == "cancelled"
    events = await journal(database, run_id)
    assert [event.seq for event in events] == list(range(1, len(events) + 1))


@pytest.mark.parametrize("damage", ["hole", "kind", "bytes", "empty"])
async def test_a_journal_that_cannot_be_read_sets_its_own_run_aside(database: Database, database_url: str, damage: str):
    flow = compiled("damaged", ONE, act=False)
    tool = ScriptedTool({"act": lambda call: Done({})})
    run_id = await start(database, flow, {})
    statement = {
        "hole": "INSERT INTO journal SELECT run_id, 3, org_id, 'step.noted', now(), NULL, '{}' FROM journal",
        "kind": "INSERT INTO journal SELECT run_id, 2, org_id, 'run.dreamt', now(), NULL, '{}' FROM journal",
        "bytes": "INSERT INTO journal SELECT run_id, 2, org_id, 'step.noted', now(), NULL, 'x' FROM journal",
        "empty": "DELETE FROM journal",
    }[damage]
    with psycopg.connect(database_url, autocommit=True) as administration:
        administration.execute(statement.encode())  # a superuser may do what the engine may not
        before = administration.execute("SELECT count(*) FROM journal").fetchone()
    async with running(database, [flow], tool):
        await until(database, run_id, lambda run: run.status == "stuck")
        assert (await ended(database, await start(database, flow, {}))).outcome == "ok"
    async with database.worker_connection() as connection:
        after = await connection.fetchval("SELECT count(*) FROM journal WHERE run_id = $1", run_id)
    assert before is not None
    assert after - before[0] in (0, 1 if damage == "hole" else 0)


async def test_runs_that_ended_leave_memory(database: Database):
    flow = compiled("leave", ONE, act=False)
    async with running(database, [flow], ScriptedTool({"act": lambda call: Done({})})) as worker:
        for run_id in [await start(database, flow, {}) for _ in range(20)]:
            await ended(database, run_id)
        await eventually(lambda: worker.statistics["resident_runs"] == 0)


def test_limits_have_sane_defaults():
    settings = RuntimeSettings()
    assert settings.heartbeat_s * 3 <= settings.lease_s
    assert REPORT_TRIES > 1
