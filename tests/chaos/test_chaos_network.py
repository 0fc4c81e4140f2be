"""The way between workers and PostgreSQL breaks, hangs, and clocks jump: nothing is lost, nothing is paid twice."""

from __future__ import annotations

import asyncio
import random
from collections import Counter
from datetime import datetime, timedelta
from pathlib import Path
from uuid import UUID

import pytest
from support.engine import FAST, ScriptedTool, compiled, ended, eventually, journal, running, start
from support.proxy import proxied

from signoff.core.clock import SystemClock
from signoff.foundation.database import Database
from signoff.foundation.settings import DatabaseSettings
from signoff.runtime.handlers import Done, Effect, StepCall

FLOW = """
steps:
  look: {tool: look, with: {}}
  pay: {requires: look, tool: pay, with: {}, once: "pay/${input.n}", retry: {times: 5, delay: 50ms, backoff: 1}}
  tell: {requires: pay, tool: look, with: {}}
outcome: {paid: tell.done}
"""
RUNS = 30
SLOW = FAST.model_copy(update={"tasks": 4})  # so that the runs are at different places


class Payments:
    """A service that does not deduplicate, and can be asked."""

    def __init__(self) -> None:
        self.made = Counter[str]()
        self.tool = ScriptedTool(
            {"look": lambda call: Done({}), "pay": self._pay},
            {"pay": Effect("lookup", settle_s=0.2)},
            {"pay": lambda call: Done({}) if self.made[str(call.idempotency_key)] else None},
        )

    async def _pay(self, call: StepCall) -> Done:
        self.made[str(call.idempotency_key)] += 1
        await asyncio.sleep(0.03)
        return Done({})


class JumpingClock(SystemClock):
    """A wall clock that somebody sets; the monotonic one goes on as it did."""

    def __init__(self) -> None:
        self.offset = timedelta()

    def now(self) -> datetime:
        return super().now() + self.offset


@pytest.mark.timeout(300)
@pytest.mark.parametrize("how", ["cut", "held past the lease"])
async def test_connections_break_while_runs_are_under_way(
    database: Database, database_url: str, tmp_path: Path, how: str
):
    payments, flow, chance = Payments(), compiled("cut", FLOW, look=False, pay=True), random.Random(7)
    async with (
        proxied(database_url, tmp_path) as (proxy, through),
        await Database.open(DatabaseSettings(url=through, recovery_wait_s=0.5)) as shaky,
    ):
        async with running(shaky, [flow], payments.tool, SLOW) as worker:
            runs = [await start(database, flow, {"n": number}) for number in range(RUNS)]
            for wanted in (5, 12, 20):
                await eventually(lambda least=wanted: len(payments.made) >= least, 60)
                if how == "cut":
                    for _ in range(3):
                        proxy.cut()
                        await asyncio.sleep(chance.uniform(0.01, 0.1))  # the fault itself, not a synchronisation
                else:
                    proxy.hold()
                    await asyncio.sleep(SLOW.lease_s * 1.5)
                    proxy.release()
                await asyncio.wait_for(worker.ready(), 60)
            assert [(await ended(database, run_id, 120)).outcome for run_id in runs] == ["paid"] * RUNS
        assert proxy.cuts > 0 or how != "cut"
    await holds(database, payments, runs)


@pytest.mark.timeout(300)
async def test_wall_clocks_jump_while_runs_are_under_way(database: Database):
    """Two workers, whose clocks are set forth and back by hours: leases and look-ups rest on none of them."""
    payments, flow = Payments(), compiled("clocks", FLOW, look=False, pay=True)
    clocks = [JumpingClock(), JumpingClock()]
    async with (
        running(database, [flow], payments.tool, SLOW, clock=clocks[0]),
        running(database, [flow], payments.tool, SLOW, clock=clocks[1]),
    ):
        runs = [await start(database, flow, {"n": number}) for number in range(RUNS)]
        for wanted, hours in ((4, 5), (10, -7), (16, 0)):
            await eventually(lambda least=wanted: len(payments.made) >= least, 60)
            clocks[wanted % 2].offset = timedelta(hours=hours)
            if wanted == 10:
                async with database.worker_connection() as connection:
                    await connection.execute("DELETE FROM worker_session")  # both are declared dead in between
        for clock in clocks:
            clock.offset = timedelta()
        assert [(await ended(database, run_id, 120)).outcome for run_id in runs] == ["paid"] * RUNS
    await holds(database, payments, runs)


async def holds(database: Database, payments: Payments, runs: list[UUID]) -> None:
    assert payments.made == Counter({f"pay/{number}": 1 for number in range(RUNS)})
    for run_id in runs:
        seqs = [event.seq for event in await journal(database, run_id)]
        assert seqs == list(range(1, len(seqs) + 1))
