"""Quotas: what effects without a person's approval may spend, counted with each intent, however many try at once."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from dataclasses import dataclass, field

import pytest
from support.engine import ACTOR, FAST, ScriptedTool, compiled, ended, running, start, until

from signoff.core.errors import StepError
from signoff.foundation.database import Database
from signoff.foundation.settings import DatabaseSettings
from signoff.runtime.handlers import Approval, Done, Effect, Spending, StepCall
from signoff.runtime.quotas import spend_quota
from signoff.runtime.quotas.store import QUOTA_TURN

PAY = "steps:\n  pay: {tool: pay, with: {}%s}\noutcome: {paid: pay.done}\n"
REVIEWED = """\
steps:
  ok: {review: Pay?, by: role/lead, propose: {n: 1}}
  pay: {requires: ok, tool: pay, with: {}}
outcome: {paid: pay.done}
"""


def spending(amount: int, *, most: int = 100, holder: str = "ana", window_s: float = 3600.0) -> Spending:
    return Spending("pay", holder, amount, most, window_s)


def paying(amount: int) -> ScriptedTool:
    return ScriptedTool({"pay": lambda call: Done({})}, {"pay": Effect("resend", spending=spending(amount))})


@dataclass
class Approving(ScriptedTool):
    """A review that a person approves at once."""

    verb: str = "review"
    behaviours: Mapping[str, object] = field(default_factory=dict[str, object])  # type: ignore[assignment]

    async def execute(self, call: StepCall) -> Done:
        approval = Approval(call.path, str(call.run.run_id), "d" * 64, "user/lea", "approved")
        return Done({"n": 1}, result="approved", approval=approval)


async def test_many_runs_at_once_spend_no_more_than_there_is(database: Database) -> None:
    flow, tool = compiled("quota", PAY % "", pay=True), paying(30)
    async with running(database, [flow], tool):
        runs = [await start(database, flow, {}) for _ in range(6)]
        summaries = [await ended(database, run_id) for run_id in runs]
    assert sorted(summary.status for summary in summaries) == ["done"] * 3 + ["failed"] * 3
    assert len(tool.calls) == 3  # the others sent nothing
    assert {summary.error["kind"] for summary in summaries if summary.error is not None} == {"quota"}
    async with database.worker_connection() as connection:
        assert await connection.fetchval("SELECT sum(amount) FROM quota_use") == 90


async def test_what_a_person_approved_spends_nothing(database: Database) -> None:
    flow, tool = compiled("reviewed", REVIEWED, pay=True), paying(1_000)
    async with running(database, [flow], tool, others=[Approving()]):
        summary = await ended(database, await start(database, flow, {}))
    assert summary.outcome == "paid"
    async with database.worker_connection() as connection:
        assert await connection.fetchval("SELECT count(*) FROM quota_use") == 0


async def test_a_try_that_is_made_again_spends_once(database: Database) -> None:
    failures = iter([StepError("busy", kind="busy", retryable=True), StepError("busy", kind="busy", retryable=True)])

    def pay(call: StepCall) -> Done:
        del call
        for failure in failures:
            raise failure
        return Done({})

    flow = compiled("again", PAY % ", retry: {times: 3, delay: 10ms, backoff: 1}", pay=True)
    tool = ScriptedTool({"pay": pay}, {"pay": Effect("resend", spending=spending(60))})
    async with running(database, [flow], tool):
        summary = await ended(database, await start(database, flow, {}))
    assert (summary.status, len(tool.calls)) == ("done", 3)
    async with database.worker_connection() as connection:
        assert await connection.fetchval("SELECT sum(amount) FROM quota_use") == 60


async def test_holders_have_a_quota_each_and_time_gives_it_back(database: Database) -> None:
    async def spend(key: str, amount: int, holder: str = "ana", window_s: float = 3600.0) -> bool:
        async with database.worker_connection() as connection, connection.transaction():
            wanted = spending(amount, holder=holder, window_s=window_s)
            return await spend_quota(connection, ACTOR.org_id, wanted, key)

    assert await spend("a", 100)
    assert await spend("a", 100)  # the same effect
    assert not await spend("b", 1)
    assert await spend("b", 100, holder="bob")
    assert await spend("c", 0)
    assert await spend("d", 100, window_s=1e-6)  # what was spent before is over


@pytest.mark.parametrize(
    ("amount", "holder", "status"), [(10**20, "ana", "failed"), (1, "a\0b", "done"), (1, "ana" * 2_000, "done")]
)
async def test_what_postgresql_has_no_room_for_keeps_no_run(
    database: Database, amount: int, holder: str, status: str
) -> None:
    flow = compiled("odd", PAY % "", pay=True)
    tool = ScriptedTool(
        {"pay": lambda call: Done({})}, {"pay": Effect("resend", spending=spending(amount, holder=holder))}
    )
    async with running(database, [flow], tool):
        assert (await ended(database, await start(database, flow, {}))).status == status


async def test_a_holder_that_others_keep_busy_costs_the_worker_nothing_else(database_url: str) -> None:
    flow, tool = compiled("busy", PAY % "", pay=True), paying(1)
    settings = DatabaseSettings(url=database_url, lock_timeout_s=0.2)
    sessions = "SELECT array_agg(id) FROM worker_session"
    # A lease that a starved machine does not lose by itself.
    patient = FAST.model_copy(update={"lease_s": 30.0, "heartbeat_s": 1.0})
    async with await Database.open(settings) as database, running(database, [flow], tool, patient):
        async with database.worker_connection() as connection, connection.transaction():
            before = await connection.fetchval(sessions)
            await connection.execute(QUOTA_TURN, ACTOR.org_id, "pay", "ana")
            run_id = await start(database, flow, {})
            await until(database, run_id, lambda run: run.status == "running")
            await asyncio.sleep(1.0)
        assert (await ended(database, run_id)).status == "done"
        async with database.worker_connection() as connection:
            assert await connection.fetchval(sessions) == before
    assert len(tool.calls) == 1
