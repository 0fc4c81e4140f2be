"""All SQL of identity. Functions take a connection and never open transactions: the boundary commits once."""

from __future__ import annotations

from datetime import datetime
from uuid import UUID

from signoff.foundation.database import Connection, Record
from signoff.governance.identity.model import Key

_INSERT_KEY = """
INSERT INTO api_key (org_id, key_id, secret_hash, actor_kind, actor_id, roles, created_at, created_by, expires_at, team)
VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10)
"""

# Through a function that gives the one row asked for: at sign-in no organisation is known yet.
_FIND_KEY = "SELECT * FROM signoff_find_api_key($1)"

# Coarse on purpose: at most one write per key and hour.
_NOTE_USE = "SELECT signoff_note_api_key_use($1, $2)"

# The first revocation stands, so that repeating it does not rewrite who did it and when.
_REVOKE_KEY = """
UPDATE api_key SET revoked_at = coalesce(revoked_at, $3), revoked_by = coalesce(revoked_by, $4)
WHERE org_id = $1 AND key_id = $2
RETURNING *
"""

# Newest first; the organisation is named here as well as in row-level security.
_LIST_KEYS = "SELECT * FROM api_key WHERE org_id = $1 ORDER BY created_at DESC, key_id LIMIT $2"


async def insert_key(connection: Connection, key: Key, secret_hash: bytes) -> None:
    """Store a new key by the hash of its secret."""
    await connection.execute(
        _INSERT_KEY,
        key.org_id,
        key.key_id,
        secret_hash,
        key.kind,
        key.actor_id,
        sorted(key.roles),
        key.created_at,
        key.created_by,
        key.expires_at,
        key.team,
    )


async def find_key(connection: Connection, key_id: str) -> tuple[Key, bytes] | None:
    """The key of that id in whatever organisation, and its hash."""
    row = await connection.fetchrow(_FIND_KEY, key_id)
    return (_key(row), bytes(row["secret_hash"])) if row is not None else None


async def note_use(connection: Connection, key_id: str, now: datetime) -> None:
    """Remember, to the hour, that the key was used."""
    await connection.execute(_NOTE_USE, key_id, now)


async def revoke(connection: Connection, org_id: UUID, key_id: str, now: datetime, by: str) -> Key | None:
    """The key, revoked, or none where the organisation has none of that id."""
    row = await connection.fetchrow(_REVOKE_KEY, org_id, key_id, now, by)
    return _key(row) if row is not None else None


async def list_all(connection: Connection, org_id: UUID, limit: int) -> tuple[Key, ...]:
    """The organisation's keys, newest first."""
    return tuple(_key(row) for row in await connection.fetch(_LIST_KEYS, org_id, limit))


def _key(row: Record) -> Key:
    return Key(
        org_id=row["org_id"],
        key_id=row["key_id"],
        kind=row["actor_kind"],
        actor_id=row["actor_id"],
        roles=frozenset(row["roles"]),
        created_at=row["created_at"],
        created_by=row["created_by"],
        expires_at=row["expires_at"],
        revoked_at=row["revoked_at"],
        revoked_by=row["revoked_by"],
        last_used_at=row["last_used_at"],
        team=row["team"],
    )
