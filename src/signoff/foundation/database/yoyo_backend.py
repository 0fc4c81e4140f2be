"""yoyo's PostgreSQL backend with four habits changed. Imported only to migrate: yoyo takes a moment to load."""

from __future__ import annotations

import importlib
import os
import socket
from contextlib import AbstractContextManager, nullcontext
from datetime import UTC, datetime
from typing import Any

from signoff.core.ids import uuid7

_base: Any = importlib.import_module("yoyo.backends.core.postgresql").PostgresqlPsycopgBackend
_cursor: Any = importlib.import_module("psycopg").Cursor


class QuietCursor(_cursor):
    """Says that its statements return no rows: yoyo prints rows (`SELECT signoff_protect(…)` has one) to our output."""

    description = None


class PostgresBackend(_base):
    """Applies each migration together with its mark in one transaction, so that a kill leaves both or neither."""

    def connect(self, dburi: Any) -> Any:
        """Connect as yoyo does, but with quiet cursors."""
        connection: Any = _base.connect(self, dburi)
        connection.cursor_factory = QuietCursor
        return connection

    def apply_one(self, migration: Any, force: bool = False, mark: bool = True) -> None:
        """Apply a migration. yoyo would run it on a second connection and mark it afterwards."""
        self.ensure_internal_schema_updated()
        with self.transaction():
            migration.process_steps(self, "apply", force=force)
            self.log_migration(migration, "apply")
            if mark:
                self.mark_one(migration, log=False)

    def lock(self, timeout: float = 0) -> AbstractContextManager[None]:
        """No lock: `migrate` holds one that dies with its owner, yoyo's is a row that a kill leaves behind."""
        del timeout
        return nullcontext()

    def get_log_data(self, migration: Any = None, operation: str = "apply") -> dict[str, Any]:
        """A row of yoyo's log. yoyo's own way hangs where the DNS does, and fails for a user without a name."""
        return {
            "id": str(uuid7()),
            "migration_id": migration.id if migration else None,
            "migration_hash": migration.hash if migration else None,
            "username": f"uid {os.getuid()}",
            "hostname": socket.gethostname(),
            "created_at_utc": datetime.now(UTC).replace(tzinfo=None),
            "operation": operation,
        }
