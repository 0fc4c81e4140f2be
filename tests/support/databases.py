"""The tests' databases: copies of one migrated template on one server, and the directory where all of it is kept."""

from __future__ import annotations

import shutil
import uuid
from collections.abc import Generator
from contextlib import contextmanager
from pathlib import Path

import psutil
import psycopg
from psycopg import sql

from signoff.foundation.database import migrate
from signoff.foundation.database.migrate import migrations_digest

_MEMORY = Path("/dev/shm")
_ENOUGH_BYTES = 4 * 1024**3
_TEMPLATE_LOCK = 7_001
_KNOWN = "SELECT 1 FROM pg_database WHERE datname = %s"
_LOCK = "SELECT pg_advisory_lock(%s)"
_UNLOCK = "SELECT pg_advisory_unlock(%s)"
_RENAME = sql.SQL("ALTER DATABASE {} RENAME TO {}")
_EMPTY = sql.SQL("CREATE DATABASE {}")
_COPY = sql.SQL("CREATE DATABASE {} TEMPLATE {} STRATEGY file_copy")
_DROP = sql.SQL("DROP DATABASE {} WITH (FORCE)")


def quick_directory() -> str | None:
    """A directory in memory, if there is plenty: a test's database is 300 files, which it makes and removes."""
    try:
        free_bytes = min(shutil.disk_usage(_MEMORY).free, psutil.virtual_memory().available)
    except OSError:
        return None
    return str(_MEMORY) if free_bytes >= _ENOUGH_BYTES else None


class Databases:
    """Makes databases for tests, and drops them again, with a superuser's connection.

    A database is dropped when the next one is given back: PostgreSQL looks for backends that still end each 100 ms
    only, and by then there are none.
    """

    def __init__(self, server_url: str, administration: psycopg.Connection) -> None:
        self._server_url = server_url
        self._administration = administration
        self._template = self._migrated()
        self._left: list[str] = []

    @contextmanager
    def fresh(self, *, migrated: bool = True) -> Generator[str]:
        """The URL of a database of its own: migrated and empty but for the default organisation, or quite empty."""
        name = f"test_{uuid.uuid4().hex}"
        if migrated:
            self._do(_COPY, name, self._template)
        else:
            self._do(_EMPTY, name)
        yield self._at(name)
        self.drop_left()
        self._left.append(name)

    def drop_left(self) -> None:
        """Drop what is left."""
        while self._left:
            self._do(_DROP, self._left.pop())

    def _migrated(self) -> str:
        """The name of the template, which is migrated once, and again when a migration changes."""
        name = f"template_{migrations_digest()[:16]}"
        self._administration.execute(_LOCK, (_TEMPLATE_LOCK,))
        try:
            if self._administration.execute(_KNOWN, (name,)).fetchone() is None:
                building = f"building_{uuid.uuid4().hex}"
                self._do(_EMPTY, building)
                migrate(self._at(building))
                self._do(_RENAME, building, name)
        finally:
            self._administration.execute(_UNLOCK, (_TEMPLATE_LOCK,))
        return name

    def _do(self, statement: sql.SQL, *names: str) -> None:
        self._administration.execute(statement.format(*map(sql.Identifier, names)))

    def _at(self, name: str) -> str:
        return self._server_url.replace("/postgres?", f"/{name}?")
