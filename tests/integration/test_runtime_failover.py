"""After a failover that may have lost commits, no effect is sent before it is known not to have happened."""

from __future__ import annotations

import logging
from collections import Counter
from typing import Any
from urllib.parse import urlsplit
from uuid import UUID

import psycopg
import pytest
from psycopg import sql
from support.crashing import crashing
from support.databases import Databases
from support.engine import (
    ACTOR,
    RELEASE,
    ScriptedTool,
    compiled,
    ended,
    eventually,
    journal,
    running,
    send,
    start,
    until,
    waits_for,
)

from signoff.core.clock import SystemClock
from signoff.core.errors import StepError
from signoff.foundation.database import Database
from signoff.foundation.settings import DatabaseSettings
from signoff.runtime.client.forking import Fork, fork
from signoff.runtime.continuity import suspect_before, unsafe_settings
from signoff.runtime.handlers import Done, Effect, StepCall

PAY = 'steps:\n  pay: {tool: pay, with: {}, once: "pay/${input.n}"}\noutcome: {ok: pay.done}\n'

RETRIED = ", retry: {times: 2, delay: 1s, backoff: 1}}\n"

ANOTHER_SERVER = "INSERT INTO server_history (system_identifier, timeline, broke, seen_at) VALUES (1, 1, $1, now())"


async def lost_history(database: Database) -> None:
    """As if this server had taken over from another one a moment ago."""
    async with database.worker_connection() as connection:
        await connection.execute(ANOTHER_SERVER, False)


async def test_a_server_that_is_not_known_breaks_the_history_once(database: Database, caplog: Any):
    async with database.worker_connection() as connection:
        assert await suspect_before(connection) is None  # the first one ever
        assert await suspect_before(connection) is None
        await connection.execute("SELECT 1")
    assert "another server" not in caplog.text


async def test_another_server_before_makes_runs_from_before_suspect(database: Database, caplog: Any):
    await lost_history(database)
    with caplog.at_level(logging.ERROR, "signoff.runtime.continuity"):
        async with database.worker_connection() as connection:
            broke_at = await suspect_before(connection)
            assert broke_at is not None
            assert await suspect_before(connection) == broke_at  # said and noted once
    assert caplog.text.count("another server") == 1


async def test_a_copy_of_the_database_on_the_same_server_is_another_one(
    databases: Databases, administration: psycopg.Connection, caplog: Any
):
    """So is a dump that is restored into the cluster that it came from. It was taken for the same one."""
    with databases.fresh() as url, databases.fresh() as copy:
        names = [sql.Identifier(urlsplit(one).path.lstrip("/")) for one in (copy, url)]
        async with (
            await Database.open(DatabaseSettings(url=url)) as database,
            database.worker_connection() as connection,
        ):
            assert await suspect_before(connection) is None
        administration.execute(sql.SQL("DROP DATABASE {}").format(names[0]))
        administration.execute(sql.SQL("CREATE DATABASE {} TEMPLATE {}").format(*names))
        async with (
            await Database.open(DatabaseSettings(url=copy)) as database,
            database.worker_connection() as connection,
        ):
            assert await suspect_before(connection) is not None
    assert caplog.text.count("another server") == 1


@pytest.mark.parametrize("happened", [True, False])
@pytest.mark.parametrize("recovery", ["lookup", "resend"])
async def test_an_effect_whose_intent_may_be_lost_is_looked_up_before_it_is_sent(
    database: Database, recovery: str, happened: bool
):
    """The run's journal ends before the intent; the other system has the payment, or has not."""
    paid = Counter({"pay/7": 1}) if happened else Counter[str]()
    flow = compiled("lost", PAY, pay=True)

    def pay(call: StepCall) -> Done:
        assert call.idempotency_key is not None
        if recovery == "lookup" or not paid[call.idempotency_key]:
            paid[call.idempotency_key] += 1
        return Done({})

    def find(call: StepCall) -> Done | None:
        return Done({}) if paid[str(call.idempotency_key)] else None

    effect = Effect("lookup" if recovery == "lookup" else "resend", settle_s=0.05)
    tool = ScriptedTool({"pay": pay}, {"pay": effect}, {"pay": find})
    run_id = await start(database, flow, {"n": 7})
    await lost_history(database)
    async with running(database, [flow], tool):
        assert (await ended(database, run_id)).outcome == "ok"
        young = await start(database, flow, {"n": 8})  # started after the break: nothing of it can be lost
        assert (await ended(database, young)).outcome == "ok"
    assert paid == {"pay/7": 1, "pay/8": 1}
    kinds = [event.kind for event in await journal(database, young)]
    assert kinds.count("effect.intended") == 1


async def test_a_lost_try_of_an_effect_that_was_tried_before_is_looked_up_too(database: Database):
    """The journal knows the first try, which was refused; a second one may have acted in the history that is lost."""
    paid, flow = Counter[str](), compiled("tried", PAY.replace("}\n", RETRIED, 1), pay=True)

    def pay(call: StepCall) -> Done:
        if call.attempt == 1:
            raise StepError("busy", kind="busy", retryable=True)
        paid[str(call.idempotency_key)] += 1
        return Done({})

    def find(call: StepCall) -> Done | None:
        return Done({}) if paid[str(call.idempotency_key)] else None

    tool = ScriptedTool({"pay": pay}, {"pay": Effect("lookup", settle_s=0.05)}, {"pay": find})
    async with crashing(database, [flow], tool):
        run_id = await start(database, flow, {"n": 7})
        await eventually(lambda: retried(database, run_id))
    paid["pay/7"] += 1
    async with database.worker_connection() as connection:
        await connection.execute(ANOTHER_SERVER, True)
    async with running(database, [flow], tool):
        assert (await ended(database, run_id)).outcome == "ok"
    assert paid == {"pay/7": 1}


async def retried(database: Database, run_id: UUID) -> bool:
    return "step.retrying" in [event.kind for event in await journal(database, run_id)]


async def test_without_a_look_up_a_person_is_asked(database: Database):
    flow = compiled("asked", PAY, pay=True)
    tool = ScriptedTool({"pay": lambda call: Done({})}, {"pay": Effect("ask")})
    run_id = await start(database, flow, {"n": 7})
    await lost_history(database)
    async with running(database, [flow], tool):
        await until(database, run_id, waits_for("outcome_unknown"))
        assert tool.calls == []
        await send(database, run_id, "pay", {"resolution": "retry", "attempt": 1}, "effect.resolution")
        await eventually(lambda: len(tool.calls) == 1)
        assert (await ended(database, run_id)).outcome == "ok"
    assert len(tool.calls) == 1


async def test_a_fork_that_acts_dry_intends_nothing_after_a_failover(database: Database):
    flow = compiled("dry", PAY, pay=True)
    tool = ScriptedTool({"pay": lambda call: Done({"id": 1})}, {"pay": Effect("ask")})
    async with running(database, [flow], tool):
        run_id = await start(database, flow, {"n": 7})
        await ended(database, run_id)
    asked = Fork(run_id, 1, flow, flow, RELEASE, None, ACTOR)
    async with database.transaction(ACTOR.org_id) as connection:
        forked = await fork(connection, asked, now=SystemClock().now())
    await lost_history(database)
    async with running(database, [flow], tool):
        assert (await ended(database, forked.run_id)).outcome == "ok"
    assert len(tool.calls) == 1
    assert "effect.intended" not in [event.kind for event in await journal(database, forked.run_id)]


def server(**changes: Any) -> dict[str, Any]:
    facts = {"fsync": "on", "full_page_writes": "on", "synchronous_commit": "on", "synchronous_standby_names": ""}
    return {**facts, "standbys": 0, **changes}


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({}, []),
        ({"fsync": "off"}, ["fsync"]),
        ({"full_page_writes": "off"}, ["full_page_writes"]),
        ({"synchronous_commit": "off"}, ["synchronous_commit is off"]),
        ({"standbys": 1}, ["commits do not wait"]),
        ({"standbys": 1, "synchronous_standby_names": "*", "synchronous_commit": "local"}, ["commits do not wait"]),
        ({"standbys": 1, "synchronous_standby_names": "*"}, []),
    ],
)
def test_settings_that_lose_commits_are_told(changes: dict[str, Any], said: list[str]):
    found = unsafe_settings(server(**changes))
    assert len(found) == len(said)
    assert all(part in warning for part, warning in zip(said, found, strict=True))
