"""`Database` over a store in memory: one client of it, whose statements take time, fail, hang and get lost.

The engine gets it by constructor, like the real one. A statement is known by its text: one that is not in `STATEMENTS`
is an error, so that a new statement of the engine cannot go untested here.
"""

from __future__ import annotations

import asyncio
import random
from collections.abc import AsyncGenerator, Callable, Mapping, Sequence
from contextlib import asynccontextmanager
from typing import Any
from uuid import UUID

from tests.simulation.memory_store import MemoryStore, Row

from signoff.core.errors import UnavailableError
from signoff.foundation.database.flushes import Flushes
from signoff.runtime import store
from signoff.runtime.breakers import store as breaker_store
from signoff.runtime.claims import store as claims_store
from signoff.runtime.client import store as client_store
from signoff.runtime.starting import store as starting_store

LATENCY_S = 0.002
SLOW_LATENCY_S = 0.3
SLOW_SHARE = 0.03


def _nothing(_: MemoryStore) -> None:
    """A setting that changes nothing here."""


def _no_backends(_: MemoryStore, __: Sequence[str]) -> list[Row]:
    """There are no connections that could stay open."""
    return [{"ended": 0, "refused": 0}]


Statements = Mapping[str, Callable[..., list[Row] | None]]

STATEMENTS: Statements = {
    store.OPEN_SESSION: MemoryStore.open_session,
    store.SERVER: MemoryStore.server,
    store.MEET_SERVER: MemoryStore.meet_server,
    store.LAST_BREAK: MemoryStore.last_break,
    store.HEARTBEAT: MemoryStore.heartbeat,
    store.CLOSE_SESSION: MemoryStore.close_session,
    store.REAP_SESSIONS: MemoryStore.reap_sessions,
    store.END_BACKENDS: _no_backends,
    store.RELEASE_ORPHANS: MemoryStore.release_orphans,
    store.RELEASE_RUNS: MemoryStore.release_runs,
    store.COUNT_CRASHES: MemoryStore.count_crashes,
    store.NOTE_CRASH: MemoryStore.note_crash,
    store.FORGET_CRASHES: MemoryStore.forget_crashes,
    claims_store.CLAIM: MemoryStore.claim,
    claims_store.CLAIM_BEHIND: MemoryStore.claim_behind,
    claims_store.NEXT_DUE_BEHIND: MemoryStore.next_due_behind,
    claims_store.CLAIM_WITHOUT_FLUSH: _nothing,  # what a crash of the server undoes was fenced by it
    store.PLAN_BY_KEY: _nothing,
    claims_store.CLAIM_NAMED: MemoryStore.claim_named,
    claims_store.LOAD: MemoryStore.load,
    claims_store.LOAD_INBOX: MemoryStore.load_inbox,
    store.RESIDENT_WITH_MESSAGES: MemoryStore.resident_with_messages,
    claims_store.NEXT_DUE: MemoryStore.next_due,
    store.APPEND: MemoryStore.append,
    store.APPEND_SEARCHED: MemoryStore.append,
    store.APPEND_PLAIN: MemoryStore.append_plain,
    store.FENCE: MemoryStore.fence,
    store.USE_APPROVAL: MemoryStore.use_approval,
    store.KEY_GENERATION: MemoryStore.key_generation,
    store.NEXT_GENERATION: MemoryStore.next_generation,
    client_store.START: MemoryStore.start,
    client_store.BUMP: MemoryStore.bump,
    client_store.BUMP_TO_TERMINATE: MemoryStore.bump,
    client_store.EXISTS: MemoryStore.exists,
    client_store.INBOX_SIZE: MemoryStore.inbox_size,
    client_store.SEND: MemoryStore.send,
    client_store.JOURNAL: MemoryStore.read_journal,
}

UNUSED = frozenset(
    statement
    for unused in (starting_store, breaker_store)
    for name, statement in vars(unused).items()
    if name.isupper() and isinstance(statement, str)
)
"""Of queues, schedules, debounced starts and circuit breakers, of which there are none here: they find nothing."""


class Network:
    """What all clients share: the store, its lock, and who listens."""

    def __init__(self, tables: MemoryStore, chance: random.Random, statements: Statements = STATEMENTS) -> None:
        self.tables = tables
        self.statements = statements
        self.chance = chance
        self.lock = asyncio.Lock()
        self.unknown = ""
        self.listeners: list[tuple[str, MemoryDatabase, Callable[[str], None]]] = []


class MemoryDatabase:
    """One process's way to the store.

    Attributes:
        dead: the process was killed: nothing of it reaches the store any more.
        stalled_until_s: until then, on the loop's clock, its statements hang; they arrive late.
        cuts: how often its connections were cut; what is under way then fails, applied or not.
    """

    def __init__(self, network: Network) -> None:
        self.network = network
        self.dead = False
        self.stalled_until_s = 0.0
        self.cuts = 0
        self.flushes = Flushes(self._flush)

    async def _flush(self) -> None:
        """Whatever is in the store is on its disk."""

    @asynccontextmanager
    async def worker_connection(self, *, resets: bool = False) -> AsyncGenerator[Any]:
        yield MemoryConnection(self)

    @asynccontextmanager
    async def worker_transaction(self) -> AsyncGenerator[Any]:
        await self._delay()
        async with self.network.lock:
            snapshot = self.network.tables.snapshot()
            connection = MemoryConnection(self, alone=True)
            try:
                yield connection
                await connection.committed()
            except BaseException:
                if not connection.is_committed:
                    self.network.tables.restore(snapshot)
                raise

    def transaction(self, org_id: UUID) -> Any:
        return self.worker_transaction()

    @asynccontextmanager
    async def listen(self, channel: str, callback: Callable[[str], None]) -> AsyncGenerator[None]:
        listener = (channel, self, callback)
        self.network.listeners.append(listener)
        callback("")
        try:
            yield
        finally:
            self.network.listeners.remove(listener)

    async def notify(self, channel: str, payload: str = "", *, others_later: bool = False) -> None:
        """Most notifications arrive; nothing may rest on one."""
        await self._delay()
        for listening, client, callback in list(self.network.listeners):
            if listening == channel and not client.dead and self.network.chance.random() < 0.8:
                loop = asyncio.get_running_loop()
                loop.call_later(self.network.chance.uniform(0, 0.01), _told, client, callback, payload)

    async def ping(self) -> None:
        """Whether the store is there."""
        cuts = self.cuts
        await self._delay()
        self.check(cuts)

    async def statement(self, query: str, arguments: tuple[Any, ...], *, alone: bool) -> list[Row]:
        """One statement, there and back."""
        if query in UNUSED:
            await self._delay()
            self.check(self.cuts)
            return []
        if query not in self.network.statements:
            self.network.unknown = query
            raise UnavailableError("the store in memory does not know a statement")
        cuts = self.cuts
        if not alone:
            await self._delay()
        self.check(cuts)
        if alone:
            found = self._applied(query, arguments)
            await asyncio.sleep(0)
        else:
            async with self.network.lock:
                self.check(cuts)
                found = self._applied(query, arguments)
            await self._delay()
        self.check(cuts)  # applied, and the answer was lost
        return found or []

    def _applied(self, query: str, arguments: tuple[Any, ...]) -> list[Row] | None:
        try:
            return self.network.statements[query](self.network.tables, *arguments)
        except (TypeError, ValueError) as error:
            self.network.unknown = f"{query}\n{error}"
            raise UnavailableError("the store in memory does not know this form of a statement") from error

    def check(self, cuts: int) -> None:
        """Raises UnavailableError where the connection is no more."""
        if self.dead or self.cuts != cuts:
            raise UnavailableError("the connection was cut")

    async def _delay(self) -> None:
        chance, loop = self.network.chance, asyncio.get_running_loop()
        slow = chance.random() < SLOW_SHARE
        await asyncio.sleep(chance.uniform(0, SLOW_LATENCY_S if slow else LATENCY_S))
        while self.stalled_until_s > loop.time() and not self.dead:  # noqa: ASYNC110  (it may be stalled once more)
            await asyncio.sleep(self.stalled_until_s - loop.time())


class MemoryConnection:
    """The methods of `Connection` that the engine uses."""

    def __init__(self, database: MemoryDatabase, *, alone: bool = False) -> None:
        self._database = database
        self._alone = alone
        self._cuts = database.cuts
        self.is_committed = False

    async def execute(self, query: str, *args: Any) -> str:
        rows = await self._database.statement(query, args, alone=self._alone)
        return f"UPDATE {len(rows)}"

    async def fetch(self, query: str, *args: Any) -> list[Row]:
        return await self._database.statement(query, args, alone=self._alone)

    async def fetchrow(self, query: str, *args: Any) -> Row | None:
        return next(iter(await self.fetch(query, *args)), None)

    async def fetchval(self, query: str, *args: Any) -> Any:
        row = await self.fetchrow(query, *args)
        return None if row is None else next(iter(row.values()))

    @asynccontextmanager
    async def transaction(self) -> AsyncGenerator[None]:
        """A savepoint within a transaction."""
        tables = self._database.network.tables
        snapshot = tables.snapshot()
        try:
            yield
        except BaseException:
            tables.restore(snapshot)
            raise

    async def committed(self) -> None:
        """Commit; where the connection is cut right then, nobody knows whether it did."""
        self._database.check(self._cuts)
        self.is_committed = True
        await asyncio.sleep(0)
        self._database.check(self._cuts)


def _told(client: MemoryDatabase, callback: Callable[[str], None], payload: str) -> None:
    if not client.dead and client.stalled_until_s <= asyncio.get_running_loop().time():
        callback(payload)
