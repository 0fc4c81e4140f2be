"""What an administrator has to do once before a user without powers can own the database, as statements to copy."""

from __future__ import annotations

from typing import Any

from signoff.core.errors import UnavailableError

OLDEST_VERSION = 160000
"""Of PostgreSQL, as it writes it itself: before, a role could not be granted without what it inherits."""

# Of what the first migration needs: what is missing, and what this user may not do by itself. By what is there, not by
# the words of the error, which come in the server's language and name the first thing alone.
_MISSING = """
WITH me AS (
    SELECT rolname, rolsuper, rolcreaterole OR rolsuper AS creates_roles FROM pg_roles WHERE rolname = current_user
), role AS (
    SELECT name, to_regrole(name) IS NOT NULL AS exists FROM unnest(ARRAY['signoff_app', 'signoff_worker']) AS name
), needed (place, statement) AS (
    SELECT 1, 'CREATE EXTENSION vector;' FROM me
    WHERE NOT EXISTS (SELECT FROM pg_extension WHERE extname = 'vector') AND NOT rolsuper AND NOT (
        has_database_privilege(current_database(), 'CREATE')
        AND EXISTS (SELECT FROM pg_available_extension_versions WHERE name = 'vector' AND trusted))
    UNION ALL
    SELECT 2, format('CREATE ROLE %I NOLOGIN NOSUPERUSER NOBYPASSRLS NOCREATEDB NOCREATEROLE NOINHERIT;', name)
    FROM role, me WHERE NOT exists AND NOT creates_roles
    UNION ALL
    SELECT 3, format('GRANT %I TO %I;', name, rolname) FROM role, me
    WHERE CASE WHEN exists THEN NOT pg_has_role(name, 'SET') ELSE NOT creates_roles END
    UNION ALL
    SELECT 4, format('ALTER SCHEMA public OWNER TO %I;', rolname) FROM me
    WHERE NOT has_schema_privilege('public', 'CREATE')
)
SELECT statement FROM needed ORDER BY place, statement
"""
_NO_EXTENSION = "SELECT NOT EXISTS (SELECT FROM pg_available_extensions WHERE name = 'vector')"
_INSTALL = (
    "The server has no extension 'vector': install pgvector on its machine (Debian and Ubuntu: postgresql-NN-pgvector),"
    " or switch it on in your vendor's console."
)


def to_prepare(connection: Any, user: str, database: str) -> str:
    """What is to be done before the migrations can be applied by this user; empty where nothing of it is missing."""
    (uninstalled,) = connection.execute(_NO_EXTENSION).fetchone()
    statements = " ".join(statement for (statement,) in connection.execute(_MISSING))
    told = [_INSTALL] if uninstalled else []
    if statements:
        told.append(
            f"The user '{user}' may not prepare the database. An administrator runs once, connected to '{database}':"
            f" {statements}"
        )
    return " ".join(told)


def require_encoding(encoding: str | None, database: str) -> None:
    """Return only where the database keeps texts as Unicode.

    Raises:
        UnavailableError: it does not (a cluster made under the C locale has SQL_ASCII): some texts could not be kept,
            and the first statement of the migrations fails in words that nobody understands.
    """
    if encoding not in (None, "UTF8"):  # none where a pooler does not tell
        raise UnavailableError(
            f"Signoff needs a database in UTF-8; '{database}' is in {encoding}. Make one:"
            " CREATE DATABASE signoff ENCODING 'UTF8' TEMPLATE template0;"
        )


def require_version(number: int) -> None:
    """Return only where the server is new enough.

    Raises:
        UnavailableError: it is not; the first migration would say so in words that nobody understands.
    """
    if number < OLDEST_VERSION:
        raise UnavailableError(
            f"Signoff needs PostgreSQL {OLDEST_VERSION // 10000} or newer; this server is"
            f" {number // 10000}.{number % 10000}. Without SIGNOFF_DATABASE__URL it uses one of its own."
        )
