"""Poolers before PostgreSQL: those that drop start-up parameters are told again, those that pool transactions refused.

A connection whose role was dropped would be the login user's, which row-level security may not hold at all. So each new
connection is asked for its role before anybody uses it.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping
from typing import Any

from signoff.core.errors import InvalidError

_ROLE = "SELECT current_setting('role')"
_APPLY = "SELECT set_config(name, value, false) FROM unnest($1::text[], $2::text[]) AS setting(name, value)"
_BACKEND = "SELECT pg_backend_pid()"


async def take_settings(connection: Any, wanted: Mapping[str, str]) -> bool:
    """Give a new connection the settings that it was started with, where a pooler dropped them; whether one did."""
    if await connection.fetchval(_ROLE) == wanted["role"]:
        return False
    await apply_settings(connection, wanted)
    return True


async def apply_settings(connection: Any, wanted: Mapping[str, str]) -> None:
    """Set them for the session."""
    await connection.execute(_APPLY, list(wanted), list(wanted.values()))


async def require_sessions(connect: Callable[[], Awaitable[Any]]) -> None:
    """Return only where two connections at once are two sessions of PostgreSQL.

    The transaction of the second one is begun while the first is idle: a pooler of transactions gives it the backend
    that the first one just had.

    Raises:
        InvalidError: the pooler pools transactions or statements.
    """
    first = await connect()
    try:
        second = await connect()
        try:
            had = await first.fetchval(_BACKEND)
            async with second.transaction():
                same = await second.fetchval(_BACKEND) == had
        finally:
            second.terminate()
    finally:
        first.terminate()
    if same:
        raise InvalidError(
            "The pooler before the database pools transactions. Signoff's connections keep a role, time-outs and locks:"
            " set pool_mode = session, or connect directly."
        )
