"""`Database` over PostgreSQL in one transaction: one process's way to it, with the faults of `memory_database.py`."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from typing import Any

from tests.simulation.memory_database import MemoryDatabase
from tests.simulation.sql_server import Row, SqlServer

from signoff.core.errors import UnavailableError
from signoff.foundation.database.failures import translated


class SqlDatabase(MemoryDatabase):
    """As its base, but with PostgreSQL's own answers; a connection that was cut while it was held is gone."""

    @property
    def server(self) -> SqlServer:
        """The server behind the network."""
        server: Any = self.network.tables
        return server

    @asynccontextmanager
    async def worker_connection(self, *, resets: bool = False) -> AsyncGenerator[Any]:
        connection = SqlConnection(self)
        with translated():
            yield connection

    @asynccontextmanager
    async def worker_transaction(self) -> AsyncGenerator[Any]:
        await self._delay()
        async with self.network.lock:
            name = self.server.savepoint()
            connection = SqlConnection(self, alone=True)
            try:
                with translated():
                    yield connection
                connection.check()
            except BaseException:
                self.server.roll_back(name)
                raise
            self.server.release(name)
            await asyncio.sleep(0)
        connection.check()  # committed, and nobody was told

    async def applied(self, query: str, arguments: tuple[Any, ...], connection: SqlConnection) -> tuple[list[Row], str]:
        """One statement, there and back."""
        if connection.alone:
            connection.check()
            found = self.server.statement(query, arguments, alone=True)
            await asyncio.sleep(0)
        else:
            await self._delay()
            async with self.network.lock:
                connection.check()
                found = self.server.statement(query, arguments, alone=False)
            await self._delay()
        connection.check()  # applied, and the answer was lost
        return found


class SqlConnection:
    """The methods of `Connection` that the engine uses."""

    def __init__(self, database: SqlDatabase, *, alone: bool = False) -> None:
        self._database = database
        self._cuts = database.cuts
        self.alone = alone

    def check(self) -> None:
        """Raises UnavailableError where the connection is no more."""
        if self._database.dead or self._database.cuts != self._cuts:
            raise UnavailableError("the connection was cut")

    async def execute(self, query: str, *args: Any) -> str:
        return (await self._database.applied(query, args, self))[1]

    async def fetch(self, query: str, *args: Any) -> list[Row]:
        return (await self._database.applied(query, args, self))[0]

    async def fetchrow(self, query: str, *args: Any) -> Row | None:
        return next(iter(await self.fetch(query, *args)), None)

    async def fetchval(self, query: str, *args: Any) -> Any:
        row = await self.fetchrow(query, *args)
        return None if row is None else row[0]

    @asynccontextmanager
    async def transaction(self) -> AsyncGenerator[None]:
        """A transaction, or a savepoint within one."""
        server = self._database.server
        name = server.savepoint()
        try:
            yield
        except BaseException:
            server.roll_back(name)
            raise
        server.release(name)
