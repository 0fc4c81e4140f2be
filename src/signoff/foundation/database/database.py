"""The two ways to the database: as the app, inside one organisation, and as the worker, across organisations."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, Callable, Mapping, Sequence
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass, field
from functools import partial
from typing import Any, Self
from uuid import UUID, uuid4

from signoff.core.errors import InvalidError, UnavailableError
from signoff.foundation.database.addresses import require_address, said_of
from signoff.foundation.database.connection import Connection, driver, opened_transaction
from signoff.foundation.database.failures import (
    DatabaseAwayError,
    connect_problem,
    is_connection_lost,
    may_recover,
    translated,
)
from signoff.foundation.database.flushes import Flushes
from signoff.foundation.database.listener import listening
from signoff.foundation.database.notices import Notice, Notices
from signoff.foundation.database.poolers import apply_settings, require_sessions, take_settings
from signoff.foundation.settings import DatabaseSettings

DEFAULT_ORG_ID = UUID("00000000-0000-7000-8000-000000000001")
"""The organisation that the first migration inserts, for installations with one organisation."""

NOT_LISTENING = "none"
"""What `listen_url` says where no connection can LISTEN."""

APP_ROLE = "signoff_app"
WORKER_ROLE = "signoff_worker"

_FIRST_RETRY_S = 0.05
_LONGEST_RETRY_S = 0.5

# Row-level security compares every row with this setting; local to the transaction, so a pool keeps nothing. It goes
# with BEGIN, in a message that takes no parameters: what it names is a UUID, written out by ourselves.
_SET_ORGANISATION = "SET LOCAL signoff.org_id = '{org_id}'"
# After commit, coalesced, never inside the journal's append: with writers it would serialise their commits. A
# notification is on no disk, but a transaction that sends one would wait for the log to be flushed all the same.
_NOTIFY = """
SELECT set_config('synchronous_commit', 'off', true), pg_notify(channel, payload)
FROM unnest($1::text[], $2::text[]) AS notice(channel, payload)
"""
_PING = "SELECT 1"
_WITHOUT_FLUSH = "; SET LOCAL synchronous_commit = off"
# A transaction with something to commit, whatever others did: its commit takes the log to the disk up to itself, and to
# whichever standby the settings name.
_FLUSH = "SELECT pg_logical_emit_message(true, 'signoff', '')"
# What `role` goes back to: as it was asked for at the start, unless a pooler dropped that.
_STARTED_AS = "SELECT reset_val FROM pg_settings WHERE name = 'role'"


@dataclass(frozen=True, slots=True)
class Backends:
    """The server's processes behind the pools' connections, by process id.

    Attributes:
        open: all of them. What they notify of was told within this process already.
        changed: those whose sessions are to be reset.
        client: what all of them, and those that listen, are named after.
    """

    open: set[int] = field(default_factory=set[int])
    changed: set[int] = field(default_factory=set[int])
    client: str = field(default_factory=lambda: uuid4().hex)


class Database:
    """Two pools over one URL. Each connection takes its role on as it starts, so that even RESET ROLE stays in it."""

    def __init__(self, settings: DatabaseSettings, app_pool: Any, worker_pool: Any, backends: Backends) -> None:
        self._settings = settings
        self._backends = backends
        self._listeners: dict[str, list[Callable[[str], None]]] = {}
        self._app_pool = app_pool
        self._worker_pool = worker_pool
        self._notices = Notices(self._send)
        self.flushes = Flushes(self._flush)
        self._closing = False

    @staticmethod
    async def open(settings: DatabaseSettings) -> Database:
        """Connect to a migrated database.

        Raises:
            InvalidError: the settings name no URL (`open_database` starts the embedded server in that case).
            UnavailableError: nothing answers there, it refuses us, or it has not been migrated.
        """
        if not settings.url:
            raise InvalidError("No database URL is configured: set SIGNOFF_DATABASE__URL or use the embedded server")
        for address in (settings.url, settings.listen_url):
            if address and address != NOT_LISTENING:
                require_address(address)
        pools: list[Any] = []
        backends = Backends()
        try:
            for role, size in ((APP_ROLE, settings.app_pool_size), (WORKER_ROLE, settings.worker_pool_size)):
                pools.append(await _open_pool(settings, role, size, backends))
                async with pools[-1].acquire() as connection:
                    pooled = await connection.fetchval(_STARTED_AS) != role
                if pooled:
                    await require_sessions(
                        partial(driver.connect, dsn=settings.url, timeout=settings.connect_timeout_s)
                    )
        except BaseException as error:
            for pool in pools:
                pool.terminate()
            problem = connect_problem(error)
            if problem is not None:
                raise problem from error
            if isinstance(error, (driver.ClientConfigurationError, ValueError)):
                raise InvalidError(f"The database URL is not usable: {said_of(error, settings.url)}") from error
            raise
        return Database(settings, pools[0], pools[1], backends)

    async def close(self) -> None:
        """Close all connections, waiting a bounded time for those in use."""
        await self._notices.close()
        await self.flushes.close()
        self._closing = True
        for pool in (self._app_pool, self._worker_pool):
            try:
                async with asyncio.timeout(self._settings.connect_timeout_s):
                    await pool.close()
            except TimeoutError:
                pool.terminate()

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, *_: object) -> None:
        await self.close()

    @asynccontextmanager
    async def transaction(self, org_id: UUID, *, flushes: bool = True) -> AsyncGenerator[Connection]:
        """One transaction inside one organisation, under the app role. Commits at the end, rolls back on an exception.

        Args:
            org_id: which organisation.
            flushes: the commit waits for the disk. Else others see it before it is there, and nobody may be told that
                it was committed before `flushes.wait()` has returned. The log is one sequence, so what others commit on
                the ground of it is never on the disk without it.

        Raises:
            UnavailableError: PostgreSQL did not answer, also not after `recovery_wait_s`, or went away in between.
        """
        first = _SET_ORGANISATION.format(org_id=UUID(bytes=org_id.bytes))  # whatever it was given: a UUID, or an error
        async with self._begun(self._app_pool, first if flushes else first + _WITHOUT_FLUSH) as connection:
            yield connection

    @asynccontextmanager
    async def worker_transaction(self) -> AsyncGenerator[Connection]:
        """One transaction across organisations, under the worker role.

        Raises:
            UnavailableError: as for `transaction`.
        """
        async with self._begun(self._worker_pool) as connection:
            yield connection

    @asynccontextmanager
    async def worker_connection(self, *, resets: bool = False) -> AsyncGenerator[Connection]:
        """A connection under the worker role to hold for long; each statement commits by itself.

        Args:
            resets: needed where the session's settings are changed or a lock of the session is taken: it is undone at
                the end. Everywhere else a connection goes back as it is, which saves a round trip.

        Raises:
            UnavailableError: as for `transaction`. Once lost, leave the block and enter it again.
        """
        connection = await self._acquire(self._worker_pool)
        if resets:
            self._backends.changed.add(connection.get_server_pid())
        try:
            with translated():
                yield connection
        except BaseException:
            self._suspect(connection)
            raise
        finally:
            await _release(self._worker_pool, connection, self._settings)

    @asynccontextmanager
    async def listen(self, channel: str, callback: Callable[[str], None]) -> AsyncGenerator[None]:
        """Call back with the payload of each notification, on a connection of its own, for as long as the block lasts.

        It reconnects for ever. What was sent while it had no connection is lost, so it also calls back with an empty
        payload after each connect: treat that as "look at everything". Where the settings say not to listen, nothing
        calls back: whoever waits also looks by itself.
        """
        if self._settings.listen_url == NOT_LISTENING:
            yield
            return
        here = self._listeners.setdefault(channel, [])
        here.append(callback)
        settings, own = self._settings, self._backends.open
        try:
            async with listening(channel, callback, connect=self._connect_directly, settings=settings, passed_over=own):
                yield
        finally:
            here.remove(callback)

    async def notify(self, channel: str, payload: str = "", *, others_later: bool = False) -> None:
        """Wake the listeners of a channel: those of this object at once, without the way through PostgreSQL.

        At most 7,999 bytes of payload (PostgreSQL's limit).

        Args:
            channel: which one.
            payload: what they get.
            others_later: where there is a listener here, those of other processes are told a few milliseconds later,
                together with whatever else they are told by then, and this returns without waiting for that. What one
                of ours is about to do would have to share the processor and PostgreSQL with telling the others.

        Raises:
            UnavailableError: as for `transaction`.
        """
        here = self._listeners.get(channel, ())
        for callback in here:
            asyncio.get_running_loop().call_soon(callback, payload)
        if here and others_later:
            self._notices.add(channel, payload)
        else:
            await self._send([(channel, payload)])

    async def _send(self, notices: Sequence[Notice]) -> None:
        async with self.worker_connection() as connection:
            await connection.execute(_NOTIFY, *map(list, zip(*notices, strict=True)))

    async def _flush(self) -> None:
        async with self.worker_connection() as connection:
            await connection.execute(_FLUSH)

    async def ping(self) -> None:
        """Ask PostgreSQL for an answer.

        Raises:
            UnavailableError: there is none.
        """
        async with self.worker_connection() as connection:
            await connection.fetchval(_PING)

    async def _connect_directly(self) -> Any:
        arguments = _connect_arguments(self._settings, WORKER_ROLE, self._backends.client)
        connection = await driver.connect(**{**arguments, "dsn": self._settings.listen_url or self._settings.url})
        try:
            await take_settings(connection, arguments["server_settings"])
        except BaseException:
            connection.terminate()  # nobody else has it yet: cut off here, it would stay open
            raise
        return connection

    @asynccontextmanager
    async def _begun(self, pool: Any, first: str = "") -> AsyncGenerator[Any]:
        """A connection in a transaction. What fails before the caller's first statement is tried again on another."""
        connection, transaction = await self._begin(pool, first)
        try:
            with translated():
                try:
                    yield connection
                except BaseException:
                    await _roll_back(transaction)
                    raise
                await transaction.commit()
        except BaseException:
            self._suspect(connection)
            raise
        finally:
            await _release(pool, connection, self._settings)

    def _suspect(self, connection: Any) -> None:
        """What broke off is asked for an answer before it goes back: its server may be away."""
        with suppress(driver.InterfaceError):  # it is lost: the pool has it back already, and has ended it
            if not connection.is_closed():
                self._backends.changed.add(connection.get_server_pid())

    async def _begin(self, pool: Any, first: str) -> tuple[Any, Any]:
        deadline = asyncio.get_running_loop().time() + self._settings.recovery_wait_s
        while True:
            connection = await self._acquire(pool)
            transaction = opened_transaction(connection, first) if first else connection.transaction()
            try:
                await transaction.start()
            except BaseException as error:
                # The server restarted while the connection idled in the pool: nothing was done yet, so begin anew.
                with suppress(driver.InterfaceError):  # the pool may have found out by itself, and has it back
                    connection.terminate()
                await _release(pool, connection, self._settings)
                if not is_connection_lost(error):
                    raise
                if asyncio.get_running_loop().time() > deadline:
                    raise UnavailableError(f"PostgreSQL does not answer: {error}") from error
                continue
            return connection, transaction

    async def _acquire(self, pool: Any) -> Any:
        """A live connection; while the server restarts, wait for it for `recovery_wait_s` seconds."""
        loop = asyncio.get_running_loop()
        deadline = loop.time() + self._settings.recovery_wait_s
        pause_s = _FIRST_RETRY_S
        while True:
            try:
                # The driver's own time limit would make a task of it.
                async with asyncio.timeout(self._settings.connect_timeout_s):
                    return await pool.acquire()
            except Exception as error:
                if self._closing:
                    raise DatabaseAwayError("This process has closed its connections to PostgreSQL") from error
                problem = connect_problem(error)
                if problem is None:
                    raise
                if not may_recover(error) or loop.time() + pause_s > deadline:
                    raise problem from error
            await asyncio.sleep(pause_s)
            pause_s = min(pause_s * 2, _LONGEST_RETRY_S)


async def _roll_back(transaction: Any) -> None:
    try:
        await transaction.rollback()
    except Exception as error:
        # A lost connection has rolled back already; whatever else goes wrong here must not hide the first error.
        if not is_connection_lost(error):
            raise


async def _release(pool: Any, connection: Any, settings: DatabaseSettings) -> None:
    try:
        await pool.release(connection, timeout=settings.connect_timeout_s)
    except Exception as error:
        # A server that does not answer the rollback in time, or this process after a pause: the pool has ended the
        # connection by then, and what was done on it has been committed or not.
        if not (is_connection_lost(error) or isinstance(error, TimeoutError)):
            raise


async def _take_on(backends: Backends, wanted: Mapping[str, str], connection: Any) -> None:
    """What the pool does to a new connection."""
    await take_settings(connection, wanted)
    backend = connection.get_server_pid()
    backends.open.add(backend)

    def ended(_connection: Any) -> None:
        backends.open.discard(backend)

    connection.add_termination_listener(ended)


async def _give_back(backends: Backends, wanted: Mapping[str, str], connection: Any) -> None:
    """What the pool does to a connection that comes back, once any transaction is rolled back: most often nothing.

    What transactions set is local to them. asyncpg's own way is a round trip of four statements each time.
    """
    if connection.get_server_pid() in backends.changed:
        await connection.execute(connection.get_reset_query())
        await apply_settings(connection, wanted)  # behind a pooler they are no session's defaults
        backends.changed.discard(connection.get_server_pid())


async def _open_pool(settings: DatabaseSettings, role: str, size: int, backends: Backends) -> Any:
    arguments = _connect_arguments(settings, role, backends.client)
    return await driver.create_pool(
        min_size=1,
        max_size=size,
        max_inactive_connection_lifetime=settings.idle_connection_lifetime_s,
        init=partial(_take_on, backends, arguments["server_settings"]),
        reset=partial(_give_back, backends, arguments["server_settings"]),
        **arguments,
    )


def _connect_arguments(settings: DatabaseSettings, role: str, client: str) -> dict[str, Any]:
    return {
        "dsn": settings.url,
        "timeout": settings.connect_timeout_s,
        "server_settings": {
            # By it others end what a process holds whose worker they have declared dead.
            "application_name": f"{role}/{client}",
            # As a start-up setting the role is what RESET ROLE goes back to.
            "role": role,
            "timezone": "UTC",
            "statement_timeout": _milliseconds(settings.statement_timeout_s),
            "lock_timeout": _milliseconds(settings.lock_timeout_s),
            "idle_in_transaction_session_timeout": _milliseconds(settings.idle_in_transaction_timeout_s),
        },
    }


def _milliseconds(seconds: float) -> str:
    return str(max(1, round(seconds * 1000)))
