"""Decision 0002, rules 1, 2, 5, 7 and 8 on real transactions: the fence, ambiguous commits, the inbox, fair claims."""

from __future__ import annotations

import asyncio
import uuid
from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import UUID

import psycopg
import pytest
from support.engine import (
    ACTOR,
    FAST,
    ScriptedTool,
    compiled,
    ended,
    running,
    send,
    somebody_waits,
    start,
)

from signoff.core.clock import SystemClock
from signoff.core.errors import ConflictError
from signoff.core.ids import uuid7
from signoff.foundation.database import Connection, Database
from signoff.runtime import send_message, store
from signoff.runtime.claims import store as claims_store
from signoff.runtime.handlers import Done, StepCall, Waiting
from signoff.runtime.journal import Entry, Journal, Row, SessionLostError

NOW = datetime(2030, 1, 1, tzinfo=UTC)


def event(run_id: UUID, seq: int) -> tuple[UUID, int, str, datetime, bytes, UUID]:
    return (run_id, seq, "step.noted", NOW, b"{}", ACTOR.org_id)


def columns(**parts: Any) -> store.Columns:
    return store.Columns(**parts)


async def opened(connection: Connection) -> UUID:
    session_id = uuid.uuid4()
    await connection.execute(store.OPEN_SESSION, session_id, "here", 1, 60.0)
    return session_id


async def queued(connection: Connection, owner: UUID | None, *, org_id: UUID = ACTOR.org_id, priority: int = 5) -> UUID:
    run_id = uuid7()
    insert = "INSERT INTO run_queue (run_id, org_id, priority, due_at, owner) VALUES ($1, $2, $3, $4, $5)"
    await connection.execute(insert, run_id, org_id, priority, datetime.now(UTC) - timedelta(seconds=1), owner)
    return run_id


def nobody(run_id: UUID, error: BaseException) -> None:
    """No row is rejected here."""


async def rows(connection: Connection, run_id: UUID) -> int:
    return await connection.fetchval("SELECT count(*) FROM journal WHERE run_id = $1", run_id)


async def test_a_fenced_worker_writes_nothing(database: Database):
    async with database.worker_connection() as connection:
        session_id = await opened(connection)
        run_id = await queued(connection, session_id)
        done = await store.append(connection, session_id, columns(events=[event(run_id, 1)]))
        assert (done.alive, done.events) == (True, 1)
        await connection.execute(store.CLOSE_SESSION, session_id)
        fenced = await store.append(
            connection,
            session_id,
            columns(events=[event(run_id, 2)], finished=[(run_id, 0)], parked=[(run_id, 0, NOW, False, None)]),
        )
        assert (fenced.alive, fenced.events, fenced.finished, fenced.parked) == (False, 0, frozenset(), frozenset())
        assert await rows(connection, run_id) == 1


async def test_taking_over_waits_for_an_append_under_way_and_the_heartbeat_does_not(database: Database):
    """The old owner's events are all there, or none, before the new owner reads the journal."""
    async with (
        database.worker_connection() as one,
        database.worker_connection() as two,
        database.worker_connection() as three,
    ):
        session_id = await opened(one)
        run_id = await queued(one, session_id)
        async with one.transaction():
            await store.append(one, session_id, columns(events=[event(run_id, 1)]))
            assert await three.fetchval(store.HEARTBEAT, session_id, 60.0) == session_id
            taking_over = asyncio.create_task(two.execute(store.CLOSE_SESSION, session_id))
            await somebody_waits(database)
            assert not taking_over.done()
        await taking_over
        assert await rows(three, run_id) == 1


async def test_the_reaper_passes_over_a_session_whose_append_hangs(database: Database):
    async with database.worker_connection() as one, database.worker_connection() as two:
        session_id = await opened(one)
        run_id = await queued(one, session_id)
        await one.execute("UPDATE worker_session SET expires_at = now() - interval '1 second'")
        async with one.transaction():
            await store.append(one, session_id, columns(events=[event(run_id, 1)]))
            assert await two.fetch(store.REAP_SESSIONS) == []
        assert [row["id"] for row in await two.fetch(store.REAP_SESSIONS)] == [session_id]
        assert [row["run_id"] for row in await two.fetch(store.RELEASE_ORPHANS, NOW)] == [run_id]


async def test_only_a_dead_sessions_runs_are_released(database: Database):
    async with database.worker_connection() as one, database.worker_connection() as two:
        alive = await opened(one)
        kept = await queued(one, alive)
        orphans = {await queued(one, uuid.uuid4()) for _ in range(3)}
        locked = min(orphans)
        async with one.transaction():
            await one.execute("SELECT FROM run_queue WHERE run_id = $1 FOR UPDATE", locked)
            freed = {row["run_id"] for row in await two.fetch(store.RELEASE_ORPHANS, NOW)}
        assert freed == orphans - {locked}  # two reapers never wait for each other
        assert await one.fetchval("SELECT owner FROM run_queue WHERE run_id = $1", kept) == alive


async def test_one_bad_row_fails_its_own_run_only(database: Database):
    rejected: list[UUID] = []
    async with database.worker_connection() as connection:
        session_id = await opened(connection)
        good, bad = [await queued(connection, session_id) for _ in range(2)]
        await store.append(connection, session_id, columns(events=[event(bad, 1)]))
    writer = Journal(database, session_id, flush_events=100, rejected=lambda run_id, _: rejected.append(run_id))
    entries = [Entry(ACTOR.org_id, run_id, [Row(1, "step.noted", NOW, b"{}")]) for run_id in (good, bad)]
    for entry in entries:
        entry.written = asyncio.get_running_loop().create_future()
        writer.submit(entry)
    task = asyncio.create_task(writer.run())
    assert entries[0].written is not None
    assert entries[1].written is not None
    assert await asyncio.wait_for(entries[0].written, 10)
    with pytest.raises(ConflictError):
        await asyncio.wait_for(entries[1].written, 10)
    assert rejected == [bad]
    assert not writer.lost
    task.cancel()
    await asyncio.gather(task, return_exceptions=True)


async def test_whoever_waits_for_a_write_hears_of_the_sessions_end(database: Database):
    """Also when the end comes while the statement is under way: whether it was written is then not known here."""
    async with database.worker_connection() as connection:
        session_id = await opened(connection)
        run_id = await queued(connection, session_id)
        writer = Journal(database, session_id, flush_events=100, rejected=nobody)
        entry = Entry(ACTOR.org_id, run_id, [Row(1, "step.noted", NOW, b"{}")], park=(0, NOW))
        entry.written = asyncio.get_running_loop().create_future()
        async with connection.transaction():
            await connection.execute("SELECT FROM worker_session FOR UPDATE")
            writer.submit(entry)
            task = asyncio.create_task(writer.run())
            await somebody_waits(database)
            task.cancel()
            writer.close(SessionLostError("gone"))
            with pytest.raises(SessionLostError):
                await asyncio.wait_for(entry.written, 10)
        await asyncio.gather(task, return_exceptions=True)


async def test_an_event_goes_with_its_messages_and_leaves_others_in_the_inbox(database: Database):
    async with database.worker_connection() as connection:
        session_id = await opened(connection)
        run_id = await queued(connection, session_id)
        taken, left = uuid7(), uuid7()
        for message_id in (taken, left):
            await connection.execute(
                "INSERT INTO inbox (message_id, org_id, run_id, path, kind, sent_by, sent_at, data)"
                " VALUES ($1, $2, $3, '', 'x', 'y', now(), '{}')",
                message_id,
                ACTOR.org_id,
                run_id,
            )
        await store.append(connection, session_id, columns(events=[event(run_id, 1)], drained=[(run_id, taken)]))
        assert [row["message_id"] for row in await connection.fetch("SELECT message_id FROM inbox")] == [left]


@pytest.mark.parametrize("leaving", ["park", "finish"])
async def test_a_message_that_is_sent_while_the_run_leaves_keeps_it_here(database: Database, leaving: str):
    """Rule 5: the sender moves the generation under the row's lock; parking needs it too, and waits for nobody."""
    flow = compiled("sender", "steps:\n  a: {tool: ask, with: {}}\noutcome: {ok: a.done}\n", ask=False)
    run_id = await start(database, flow, {})
    async with database.worker_connection() as owner:
        session_id = await opened(owner)
        await owner.execute("UPDATE run_queue SET owner = $1", session_id)
        gen = await owner.fetchval("SELECT gen FROM run_queue WHERE run_id = $1", run_id)
        part: Any = (
            {"parked": [(run_id, gen, NOW, False, None)]} if leaving == "park" else {"finished": [(run_id, gen)]}
        )
        async with database.transaction(ACTOR.org_id) as sender:
            await send_in(sender, run_id)
            appended = await store.append(owner, session_id, columns(events=[event(run_id, 2)], **part))
            assert (appended.events, appended.parked, appended.finished) == (1, frozenset(), frozenset())
        appended = await store.append(owner, session_id, columns(events=[event(run_id, 3)], **part))
        assert (appended.events, appended.parked, appended.finished) == (1, frozenset(), frozenset())
        row = await owner.fetchrow("SELECT owner, gen FROM run_queue WHERE run_id = $1", run_id)
        assert row is not None
        assert tuple(row) == (session_id, gen + 1)


@pytest.mark.parametrize("leaving", ["park", "finish"])
async def test_a_message_sent_while_the_run_leaves_wakes_it_or_is_told_that_it_has_ended(
    database: Database, leaving: str
):
    """The other interleaving: the owner holds the lock first, and the sender waits for its commit."""
    flow = compiled("leaver", "steps:\n  a: {tool: ask, with: {}}\noutcome: {ok: a.done}\n", ask=False)
    run_id = await start(database, flow, {})
    async with database.worker_connection() as owner:
        session_id = await opened(owner)
        await owner.execute("UPDATE run_queue SET owner = $1", session_id)
        part: Any = {"parked": [(run_id, 0, NOW, False, None)]} if leaving == "park" else {"finished": [(run_id, 0)]}
        async with owner.transaction():
            appended = await store.append(owner, session_id, columns(events=[event(run_id, 2)], **part))
            assert appended.parked | appended.finished == {run_id}
            sending = asyncio.create_task(send(database, run_id, "a", {"answer": 1}))
            await somebody_waits(database)
        if leaving == "finish":
            with pytest.raises(ConflictError):
                await sending
            assert await owner.fetchval("SELECT count(*) FROM inbox") == 0
        else:
            await sending
            due_at = await owner.fetchval("SELECT due_at FROM run_queue WHERE run_id = $1 AND owner IS NULL", run_id)
            assert due_at < NOW  # not at the moment it parked for: at once
            assert await owner.fetchval("SELECT count(*) FROM inbox") == 1


async def send_in(connection: Connection, run_id: UUID, answer: int = 1, *, now: datetime | None = None) -> None:
    await send_message(
        connection,
        org_id=ACTOR.org_id,
        run_id=run_id,
        path="a",
        kind="signal",
        data={"answer": answer},
        sent_by="user/ana",
        now=now or SystemClock().now(),
    )


async def test_messages_race_with_parking_and_none_is_lost(database: Database):
    """A step that waits again and again, answered the moment it does: every answer arrives, in order, once.

    All are sent within one millisecond of the sender's clock: what came first is what was sent first all the same.
    """
    flow = compiled("rally", "steps:\n  a: {tool: ask, with: {}}\noutcome: {ok: a.done}\n", ask=False)
    rounds, sent_at = 30, SystemClock().now()
    patient = FAST.model_copy(
        update={"lease_s": 30.0}
    )  # a session lost on a busy machine would have answers read again
    got: dict[UUID, list[int]] = {}

    def resume(call: StepCall, message: Any) -> Done | Waiting:
        got.setdefault(call.run.run_id, []).append(message.data["answer"])
        return Done({}) if message.data["answer"] == rounds else Waiting("answer")

    tool = ScriptedTool({"ask": lambda call: Waiting("answer")}, resumes={"ask": resume})
    async with running(database, [flow], tool, patient):
        runs = [await start(database, flow, {}) for _ in range(4)]

        async def rally(run_id: UUID) -> None:
            for answer in range(1, rounds + 1):
                async with database.transaction(ACTOR.org_id) as sender:
                    await send_in(sender, run_id, answer, now=sent_at)

        await asyncio.gather(*(rally(run_id) for run_id in runs))
        for run_id in runs:
            assert (await ended(database, run_id)).outcome == "ok"
    assert got == {run_id: list(range(1, rounds + 1)) for run_id in runs}


async def test_an_organisation_with_a_long_backlog_does_not_starve_another(database: Database, database_url: str):
    other = uuid.uuid4()
    with psycopg.connect(database_url, autocommit=True) as administration:
        administration.execute("INSERT INTO organisation (id, name) VALUES (%s, 'other')", (other,))
        administration.execute(
            "INSERT INTO run_queue (run_id, org_id, priority, due_at) SELECT gen_random_uuid(), %s, 1,"
            " now() - interval '1 hour' FROM generate_series(1, 2000)",
            (ACTOR.org_id,),
        )
        administration.execute(
            "INSERT INTO run_queue (run_id, org_id, priority, due_at) SELECT gen_random_uuid(), %s, 9,"
            " now() - interval '1 second' FROM generate_series(1, 10)",
            (other,),
        )
    async with database.worker_connection() as connection:
        session_id = await opened(connection)
        claimed = await connection.fetch(claims_store.CLAIM, session_id, datetime.now(UTC), 64, 2**40, True)
    assert len(claimed) == 64
    assert sum(row["org_id"] == other for row in claimed) == 10


async def test_the_next_moment_is_the_first_of_all_lanes(database: Database):
    async with database.worker_connection() as connection:
        assert await connection.fetchval(claims_store.NEXT_DUE) is None
        moments = [NOW + timedelta(minutes=offset) for offset in (5, 3, 9, 4)]
        for priority, due_at in zip((1, 5, 5, 9), moments, strict=True):
            run_id = await queued(connection, None, priority=priority)
            await connection.execute("UPDATE run_queue SET due_at = $2 WHERE run_id = $1", run_id, due_at)
        owned = await queued(connection, uuid.uuid4())
        await connection.execute("UPDATE run_queue SET due_at = $2 WHERE run_id = $1", owned, NOW)
        assert await connection.fetchval(claims_store.NEXT_DUE) == min(moments)


def test_the_append_notifies_nobody():
    """Rule 8: a NOTIFY in the append's transaction serialises the commits of all writers."""
    assert "notify" not in (store.APPEND + store.APPEND_PLAIN).lower()


async def test_a_runs_events_stay_in_order_over_both_lanes(database: Database):
    """What needs a transaction of its own holds its run's later events back, and nobody else's."""
    async with database.worker_connection() as connection:
        session_id = await opened(connection)
        run_id, other = [await queued(connection, session_id) for _ in range(2)]
    writer = Journal(database, session_id, flush_events=100, rejected=nobody)
    entered, gate = asyncio.Event(), asyncio.Event()

    async def solo(_: Connection) -> None:
        entered.set()
        await gate.wait()

    def entry(run: UUID, seq: int, *, alone: bool = False) -> asyncio.Future[bool]:
        made = Entry(ACTOR.org_id, run, [Row(seq, "step.noted", NOW, b"{}")], solo=solo if alone else None)
        written = made.written = asyncio.get_running_loop().create_future()
        writer.submit(made)
        return written

    one, two, three, free = entry(run_id, 1), entry(run_id, 2, alone=True), entry(run_id, 3), entry(other, 1)
    task = asyncio.create_task(writer.run())
    await asyncio.wait_for(entered.wait(), 10)
    assert await free
    assert await one
    assert not three.done()
    gate.set()
    assert await asyncio.wait_for(two, 10)
    assert await asyncio.wait_for(three, 10)
    async with database.worker_connection() as connection:
        assert await rows(connection, run_id) == 3
    task.cancel()
    await asyncio.gather(task, return_exceptions=True)
