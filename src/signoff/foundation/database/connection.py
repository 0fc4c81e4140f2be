"""The database driver behind a typed face, so that a store names `Connection` and nothing of asyncpg.

asyncpg ships no types. This is the one module that imports it untyped; what the house uses of it is written down here.
"""

# ruff: noqa: ASYNC109  (`timeout` is a parameter of asyncpg's methods, which are written down here)

from __future__ import annotations

import importlib
from collections.abc import Iterable, Iterator, Sequence
from contextlib import AbstractAsyncContextManager
from typing import Any, Protocol

driver: Any = importlib.import_module("asyncpg")

DatabaseError: type[Exception] = driver.PostgresError
"""What the server answers when it refuses a statement; `.sqlstate` and `.constraint_name` say which way."""

UniqueViolation: type[Exception] = driver.UniqueViolationError
"""A unique key or primary key holds the row already (SQLSTATE 23505)."""

DeadlockDetected: type[Exception] = driver.DeadlockDetectedError
"""The server broke a deadlock by failing this transaction (SQLSTATE 40P01): run it again."""


class Record(Protocol):
    """A row: read it by column name or by position."""

    def __getitem__(self, key: str | int) -> Any: ...
    def __contains__(self, key: object) -> bool: ...
    def __iter__(self) -> Iterator[Any]: ...
    def __len__(self) -> int: ...
    def get(self, key: str, default: Any = None) -> Any: ...
    def keys(self) -> Iterable[str]: ...
    def values(self) -> Iterable[Any]: ...
    def items(self) -> Iterable[tuple[str, Any]]: ...


class Connection(Protocol):
    """A connection as stores see it. Parameters are `$1`, `$2`, …; `json` and `jsonb` go in and come out as text."""

    async def execute(self, query: str, *args: Any, timeout: float | None = None) -> str:
        """Run a statement; the result is the server's status, such as `INSERT 0 1`."""
        ...

    async def executemany(self, command: str, args: Iterable[Sequence[Any]], *, timeout: float | None = None) -> None:
        """Run one statement for many rows of parameters in one round trip, all or none."""
        ...

    async def fetch(self, query: str, *args: Any, timeout: float | None = None) -> list[Record]:
        """All rows."""
        ...

    async def fetchrow(self, query: str, *args: Any, timeout: float | None = None) -> Record | None:
        """The first row, or none."""
        ...

    async def fetchval(self, query: str, *args: Any, column: int = 0, timeout: float | None = None) -> Any:
        """One column of the first row, or none."""
        ...

    def transaction(self) -> AbstractAsyncContextManager[Any]:
        """A transaction, or inside one a savepoint."""
        ...

    def is_in_transaction(self) -> bool:
        """Whether a transaction is open."""
        ...

    def is_closed(self) -> bool:
        """Whether the connection is gone."""
        ...


class _OpenedTransaction(driver.transaction.Transaction):
    """Only `start` differs, and it is the outermost: what is begun inside is the driver's own, a savepoint."""

    first: str

    async def start(self) -> None:
        """Begin, and set what is local to the transaction: both or neither."""
        connection, states = self._connection, driver.transaction.TransactionState
        if connection._top_xact is not None or connection.is_in_transaction():  # noqa: SLF001  (as the driver asks)
            raise driver.InterfaceError("a transaction is open on this connection already")
        connection._top_xact = self  # noqa: SLF001  (by it the driver makes savepoints of those inside)
        try:
            await connection.execute(f"BEGIN; {self.first}")
        except BaseException:
            self._state = states.FAILED
            raise
        self._state = states.STARTED


def opened_transaction(connection: Any, first: str) -> Any:
    """A transaction of the driver's whose BEGIN takes settings along, local to it: one round trip instead of two."""
    transaction = _OpenedTransaction(connection._con, None, False, False)  # noqa: SLF001  (behind the pool's proxy)
    transaction.first = first
    return transaction


def constraint_of(error: BaseException) -> str | None:
    """The name of the constraint that a `DatabaseError` says was violated, or none."""
    name = getattr(error, "constraint_name", None)
    return name if isinstance(name, str) else None


def affected_rows(status: str) -> int:
    """How many rows a statement changed, by the status (`UPDATE 3`) that `Connection.execute` returned."""
    last = status.rpartition(" ")[2]
    return int(last) if last.isdigit() else 0
