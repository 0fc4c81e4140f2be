"""Making, showing, revoking API keys."""

from __future__ import annotations

import hashlib
import hmac
import secrets
from collections.abc import Callable, Collection
from datetime import datetime
from typing import Literal
from uuid import UUID

from signoff.core.actors import Actor
from signoff.core.errors import InvalidError, NotFoundError, Problem, UnauthenticatedError
from signoff.foundation.database import Connection
from signoff.governance.identity import store
from signoff.governance.identity.model import (
    ACTOR_ID,
    ID_BYTES,
    MAX_LISTED_KEYS,
    MAX_ROLES,
    ROLE,
    SECRET_BYTES,
    TEAM,
    Key,
    key_text,
    read_key_text,
)

_NO_HASH = bytes(hashlib.sha256().digest_size)
_UNKNOWN = "The API key is not valid."


async def create_key(
    connection: Connection,
    org_id: UUID,
    actor_id: str,
    roles: Collection[str],
    *,
    created_by: Actor,
    now: datetime,
    kind: Literal["user", "key"] = "key",
    expires_at: datetime | None = None,
    team: str = "",
    random_bytes: Callable[[int], bytes] = secrets.token_bytes,
) -> tuple[Key, str]:
    """A new key and its text, which is shown this once and stored nowhere.

    Whether `created_by` may make it, with these roles, is for policy (`key.manage`) to say before.

    Raises:
        InvalidError: a name, role or team that is none, too many roles, or an expiry that has passed.
    """
    problems = _problems(actor_id, roles, now, expires_at)
    if team and not TEAM.fullmatch(team):
        detail = "A team starts with a letter or digit and has at most 128 letters, digits and . _ / -."
        problems.append(Problem(detail, pointer="/team", code="team"))
    if problems:
        raise InvalidError("The API key cannot be made.", problems=problems)
    secret = random_bytes(SECRET_BYTES)
    key = Key(
        org_id=org_id,
        key_id=random_bytes(ID_BYTES).hex(),
        kind=kind,
        actor_id=actor_id,
        roles=frozenset(roles),
        created_at=now,
        created_by=str(created_by),
        expires_at=expires_at,
        team=team,
    )
    await store.insert_key(connection, key, hashlib.sha256(secret).digest())
    return key, key_text(key.key_id, secret)


async def authenticate(connection: Connection, text: str, *, now: datetime) -> Actor:
    """Who shows this key. Works in a transaction of any organisation or none, for the key itself says which.

    An unknown key and a wrong secret give the same answer after the same comparison; that a key has expired or was
    revoked is only said to whoever has its secret.

    Raises:
        UnauthenticatedError: the text is no key, or one that is unknown, wrong, revoked or expired.
    """
    parts = read_key_text(text)
    if parts is None:
        raise UnauthenticatedError(_UNKNOWN)
    key_id, secret = parts
    found = await store.find_key(connection, key_id)
    expected = found[1] if found is not None else _NO_HASH
    matches = hmac.compare_digest(hashlib.sha256(secret).digest(), expected)
    if found is None or not matches:
        raise UnauthenticatedError(_UNKNOWN)
    key = found[0]
    if key.revoked_at is not None:
        raise UnauthenticatedError("The API key was revoked.")
    if key.expires_at is not None and key.expires_at <= now:
        raise UnauthenticatedError("The API key has expired.")
    await store.note_use(connection, key_id, now)
    return key.actor


async def revoke_key(connection: Connection, org_id: UUID, key_id: str, *, revoked_by: Actor, now: datetime) -> Key:
    """End a key for good; from the commit on nobody gets in with it. Repeating it changes nothing.

    Raises:
        NotFoundError: the organisation has no key of that id.
    """
    key = await store.revoke(connection, org_id, key_id, now, str(revoked_by))
    if key is None:
        raise NotFoundError(f"There is no API key '{key_id[:64]}'.")
    return key


async def list_keys(connection: Connection, org_id: UUID, *, limit: int = MAX_LISTED_KEYS) -> tuple[Key, ...]:
    """The organisation's keys, revoked and expired ones included, newest first, at most `MAX_LISTED_KEYS`."""
    return await store.list_all(connection, org_id, min(limit, MAX_LISTED_KEYS))


def _problems(actor_id: str, roles: Collection[str], now: datetime, expires_at: datetime | None) -> list[Problem]:
    problems: list[Problem] = []
    if not ACTOR_ID.fullmatch(actor_id):
        detail = "A name starts with a letter or digit and has at most 128 letters, digits and . _ @ + -."
        problems.append(Problem(detail, pointer="/actor_id", code="actor-id"))
    if len(roles) > MAX_ROLES:
        problems.append(Problem(f"A key has at most {MAX_ROLES} roles.", pointer="/roles", code="roles"))
    for role in sorted(roles):
        if not ROLE.fullmatch(role):
            detail = "A role is lower-case letters, digits and hyphens, without 'role/'."
            problems.append(Problem(f"'{role[:64]}' is no role.", pointer="/roles", code="roles", suggestion=detail))
    if expires_at is not None and expires_at <= now:
        problems.append(Problem("The expiry has passed already.", pointer="/expires_at", code="expires-at"))
    return problems
