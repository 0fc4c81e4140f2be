"""PostgreSQL: connections by role, migrations, and the embedded server."""

from signoff.foundation.database.connection import (
    Connection,
    DatabaseError,
    DeadlockDetected,
    Record,
    UniqueViolation,
    affected_rows,
    constraint_of,
)
from signoff.foundation.database.database import DEFAULT_ORG_ID, Database
from signoff.foundation.database.embedded import EmbeddedServer
from signoff.foundation.database.failures import is_connection_lost
from signoff.foundation.database.migrate import migrate
from signoff.foundation.database.opening import database_url, open_database

__all__ = [
    "DEFAULT_ORG_ID",
    "Connection",
    "Database",
    "DatabaseError",
    "DeadlockDetected",
    "EmbeddedServer",
    "Record",
    "UniqueViolation",
    "affected_rows",
    "constraint_of",
    "database_url",
    "is_connection_lost",
    "migrate",
    "open_database",
]
