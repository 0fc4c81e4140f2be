"""PostgreSQL as the store of a simulation: one connection, one transaction for a whole schedule, a server's clock that
is the simulation's.

Every statement of the engine is known here as it is in production, as PostgreSQL itself runs it. What the engine takes
for a commit is a savepoint; the transaction around all is rolled back when the schedule is over, so that a schedule
costs no disk and leaves nothing. Going back to an older savepoint is a failover that has lost the last commits. One
thing is not like production: two transactions never run at once (`test_runtime_locks.py` has those).
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from datetime import datetime
from typing import Any, Self
from uuid import UUID

import psycopg
from psycopg import RawCursor
from psycopg.types.string import TextLoader

from signoff.foundation.database.connection import driver

# What the server says of itself and of time is looked up here before it is looked up in pg_catalog.
SCHEMA = """
CREATE SCHEMA simulated;
CREATE FUNCTION simulated.now() RETURNS timestamptz LANGUAGE sql STABLE
    AS $$ SELECT pg_catalog.current_setting('simulated.now')::timestamptz $$;
CREATE FUNCTION simulated.pg_walfile_name(pg_lsn) RETURNS text LANGUAGE sql STABLE
    AS $$ SELECT pg_catalog.lpad(pg_catalog.to_hex(pg_catalog.current_setting('simulated.timeline')::int), 8, '0') $$;
ALTER TABLE server_history ALTER seen_at SET DEFAULT simulated.now();
ALTER TABLE run ALTER started_at SET DEFAULT simulated.now();
ALTER TABLE worker_session ALTER timeline
    SET DEFAULT ('x' || left(simulated.pg_walfile_name(pg_current_wal_lsn()), 8))::bit(32)::int;
"""
SEARCH_PATH = "SET search_path = simulated, pg_catalog, public; SET TimeZone = 'UTC'; SET jit = off"


class Row(dict[str, Any]):
    """A row as the driver gives it: by name and by place; going through it gives values."""

    def __getitem__(self, key: str | int) -> Any:
        return list(self.values())[key] if isinstance(key, int) else super().__getitem__(key)

    def __iter__(self) -> Iterator[Any]:
        return iter(self.values())


class SqlServer:
    """A migrated database as one schedule sees it.

    Args:
        url: of a database that `prepare` was called for.
        now: the server's clock.
        left: told of each run that a session parked or finished.
        applied: told of each statement with its arguments, once it was applied.

    Attributes:
        timeline: of the server; a failover moves it on.
    """

    def __init__(
        self,
        url: str,
        now: Callable[[], datetime],
        *,
        left: Callable[[UUID, UUID], None],
        applied: Callable[[str, Sequence[Any]], None] = lambda _query, _arguments: None,
    ) -> None:
        self._connection: psycopg.Connection[Any] = psycopg.connect(url, cursor_factory=RawCursor, autocommit=True)
        for name in ("json", "jsonb"):
            self._connection.adapters.register_loader(name, TextLoader)
        self._now = now
        self._left = left
        self._applied = applied
        self._names = 0
        self._deep: list[str] = []
        self._waiting: list[str] = []
        self.timeline = 1

    def __enter__(self) -> Self:
        sequences = self.read("SELECT schemaname || '.' || sequencename FROM pg_sequences")
        again = "".join(
            f"; SELECT setval('{row[0]}', 1)" for row in sequences
        )  # they count on over what is rolled back
        self._plain(f"{SEARCH_PATH}; BEGIN; SELECT setseed(0.5){again}")
        return self

    def __exit__(self, *_: object) -> None:
        self._connection.close()

    # --- what clients do ---------------------------------------------------------------------------------------

    def statement(self, query: str, arguments: Sequence[Any], *, alone: bool) -> tuple[list[Row], str]:
        """Rows and status. One that is not `alone`, in a transaction, is a transaction of its own.

        Raises:
            PostgresError: as the engine's driver would.
        """
        name = None if alone else self.savepoint()
        self._plain(f"SET simulated.now = '{self._now().isoformat()}'; SET simulated.timeline = {self.timeline}")
        self._send()
        try:
            cursor = self._connection.execute(query.encode(), [_plain(value) for value in arguments])
            names = [column.name for column in cursor.description or ()]
            rows = [Row(zip(names, values, strict=True)) for values in cursor.fetchall()] if names else []
        except psycopg.Error as error:
            if name is not None:
                self.roll_back(name)
            raise _as_driver(error) from error
        if name is not None:
            self.release(name)
        if rows and "finished" in rows[0] and "parked" in rows[0]:
            for run_id in (*rows[0]["finished"], *rows[0]["parked"]):
                self._left(arguments[0], run_id)
        self._applied(query, arguments)
        return rows, cursor.statusmessage or ""

    def savepoint(self) -> str:
        """Begin a transaction, or one inside it."""
        self._names += 1
        name = f"s{self._names}"
        self._plain(f"SAVEPOINT {name}")
        self._deep.append(name)
        return name

    def release(self, name: str) -> None:
        """Commit it."""
        self._plain(f"RELEASE {name}")
        del self._deep[self._deep.index(name) :]

    def roll_back(self, name: str) -> None:
        """Roll it back."""
        self._plain(f"ROLLBACK TO {name}; RELEASE {name}")
        del self._deep[self._deep.index(name) :]

    def lose(self, name: str) -> bool:
        """A standby takes over that has nothing of what was committed since that savepoint; false where it is gone."""
        if name not in self._deep:
            return False
        self.roll_back(name)
        self.timeline += 1
        return True

    # --- what checks read --------------------------------------------------------------------------------------

    def read(self, query: str, *arguments: Any) -> list[Row]:
        """Rows, seen as nobody's client."""
        self._send()
        cursor = self._connection.execute(query.encode(), list(arguments))
        names = [column.name for column in cursor.description or ()]
        return [Row(zip(names, values, strict=True)) for values in cursor.fetchall()]

    @property
    def views(self) -> dict[UUID, Row]:
        """What lists show, the first run first."""
        return {row["run_id"]: row for row in self.read("SELECT * FROM run_view ORDER BY started_at, run_id")}

    @property
    def queue(self) -> dict[UUID, Row]:
        """The runs that have not ended."""
        return {row["run_id"]: row for row in self.read("SELECT * FROM run_queue")}

    @property
    def inbox(self) -> dict[UUID, Row]:
        """Messages that no run has taken."""
        return {row["message_id"]: row for row in self.read("SELECT message_id, run_id FROM inbox")}

    def journal_of(self, run_id: UUID) -> list[Mapping[str, Any]]:
        """A run's events, in order."""
        return [*self.read("SELECT seq, kind, recorded_at, data FROM journal WHERE run_id = $1 ORDER BY seq", run_id)]

    def _plain(self, commands: str) -> None:
        """To be sent before whatever comes next: most of a statement's time is the way there and back."""
        self._waiting.append(commands)

    def _send(self) -> None:
        if self._waiting:
            self._connection.pgconn.exec_("; ".join(self._waiting).encode())
            self._waiting.clear()


def prepare(url: str, month: datetime) -> None:
    """Make a migrated database one for simulations that begin in that month."""
    with psycopg.connect(url, autocommit=True) as connection:
        connection.execute(SCHEMA)
        connection.execute("SELECT signoff_add_journal_month(%s::date)", (month.date(),))


def _plain(value: Any) -> Any:
    return [*value] if isinstance(value, (tuple, set, frozenset)) else value  # pyright: ignore[reportUnknownVariableType]


def _as_driver(error: psycopg.Error) -> Exception:
    """The error that the engine's driver raises for it."""
    fields = {"C": error.sqlstate or "XX000", "M": str(error), "n": error.diag.constraint_name or ""}
    made: Exception = driver.PostgresError.new(fields)
    return made
