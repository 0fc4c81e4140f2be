"""A streaming standby is promoted while payments are on their way: what it lacks is looked up, and paid once."""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import Iterator
from pathlib import Path

import psycopg
import pytest
from support.engine import FAST, ScriptedTool, compiled, ended, eventually, journal, running, start
from support.proxy import SOCKET, proxied
from support.standby import NAME, Standby, host_of
from tests.chaos.test_chaos_database import killed

from signoff.foundation.database import Database, EmbeddedServer, migrate
from signoff.foundation.settings import DatabaseSettings
from signoff.runtime.handlers import Done, Effect, StepCall

FLOW = """
steps:
  go: {tool: go, with: {n: "${input.n}"}}
  pay: {requires: go, tool: pay, with: {}, once: "pay/${input.n}", retry: {times: 5, delay: 50ms, backoff: 1}}
outcome: {paid: pay.done}
"""
RUNS = 9
SOCKET_NAME = SOCKET.format(port="5432")


@pytest.fixture
def primary(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[EmbeddedServer, str]]:
    """A migrated server of the test's own."""
    server = EmbeddedServer(tmp_path_factory.mktemp("pg"), max_connections=60, durable=False)
    url = server.start()
    migrate(url)
    yield server, url
    server.stop(delete=True)


class Bank:
    """Pays whenever it is asked to; of some payments the answer does not come before the failover.

    Attributes:
        paid: how often, by key.
        looked: which keys were looked up.
        open: runs may begin to pay.
        slow: payments that give no answer while this is not set.
    """

    def __init__(self) -> None:
        self.paid: Counter[str] = Counter()
        self.looked: Counter[str] = Counter()
        self.open, self.over = asyncio.Event(), asyncio.Event()
        effect = Effect("lookup", settle_s=0.2)
        self.tool = ScriptedTool({"go": self.go, "pay": self.pay}, {"pay": effect}, {"pay": self.find})

    async def go(self, call: StepCall) -> Done:
        if call.arguments["with"]["n"] % 3 < 2:
            await self.open.wait()
        else:
            await self.over.wait()
        return Done({})

    async def pay(self, call: StepCall) -> Done:
        self.paid[str(call.idempotency_key)] += 1
        if str(call.idempotency_key).endswith(("1", "4", "7")):
            await self.over.wait()
        return Done({})

    def find(self, call: StepCall) -> Done | None:
        self.looked[str(call.idempotency_key)] += 1
        return Done({}) if self.paid[str(call.idempotency_key)] else None


@pytest.mark.slow  # two servers, a base backup, a promotion
@pytest.mark.timeout(300)
@pytest.mark.parametrize("synchronous", [False, True])
async def test_a_standby_takes_over(primary: tuple[EmbeddedServer, str], tmp_path: Path, synchronous: bool):
    """Without synchronous replication the standby lacks intents and answers; with it, nothing that was acted on."""
    server, url = primary
    bank, flow = Bank(), compiled("failover", FLOW, go=False, pay=True)
    with Standby(url) as standby:
        if synchronous:
            with psycopg.connect(url, autocommit=True) as connection:
                connection.execute(f"ALTER SYSTEM SET synchronous_standby_names = '{NAME}'".encode())
                connection.execute("SELECT pg_reload_conf()")
        async with (
            proxied(url, tmp_path) as (proxy, proxied_url),
            await Database.open(DatabaseSettings(url=proxied_url, recovery_wait_s=0.5)) as database,
            running(database, [flow], bank.tool, FAST) as worker,
        ):
            runs = [await start(database, flow, {"n": number}) for number in range(RUNS)]
            await eventually(lambda: len(bank.tool.calls) >= RUNS, 60)
            await asyncio.to_thread(standby.caught_up)
            if not synchronous:
                await asyncio.to_thread(standby.part)
            bank.open.set()
            await eventually(lambda: len(bank.paid) == RUNS * 2 // 3, 60)
            for run_id in runs[::3]:
                assert (await ended(database, run_id, 60)).outcome == "paid"
            await asyncio.to_thread(killed, server)
            await asyncio.to_thread(standby.promote)
            proxy.turn_to(Path(host_of(standby.url)) / SOCKET_NAME)
            proxy.cut()
            bank.over.set()
            await asyncio.wait_for(worker.ready(), 60)
            assert [(await ended(database, run_id, 120)).outcome for run_id in runs] == ["paid"] * RUNS
            young = await start(database, flow, {"n": RUNS})
            assert (await ended(database, young, 60)).outcome == "paid"
            intents = [sum(e.kind == "effect.intended" for e in await journal(database, run_id)) for run_id in runs]
    assert bank.paid == Counter({f"pay/{number}": 1 for number in range(RUNS + 1)})
    answered = {f"pay/{number}" for number in range(0, RUNS, 3)}
    late = {f"pay/{number}" for number in range(2, RUNS, 3)}
    # Where nothing was lost, a run that had ended stays so. Every other effect from before the break is looked up
    # before it is sent; one under way may also be told of by the worker that saw its answer.
    looked = bank.looked.keys()
    assert not looked & answered if synchronous else looked >= answered
    assert looked >= late
    assert f"pay/{RUNS}" not in looked
    assert all(count >= 1 for count in intents)
