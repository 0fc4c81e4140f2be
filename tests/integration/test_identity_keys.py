"""API keys on a real PostgreSQL: who gets in, who does not, and what one organisation sees of another."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import UUID

import psycopg
import pytest

from signoff.core.actors import Actor
from signoff.core.errors import InvalidError, NotFoundError, UnauthenticatedError
from signoff.foundation.database import DEFAULT_ORG_ID, Database, DatabaseError
from signoff.governance.identity import authenticate, create_key, list_keys, revoke_key

NOW = datetime(2026, 3, 1, 12, tzinfo=UTC)
ADMIN = Actor(DEFAULT_ORG_ID, "system", "test")
OTHER_ORG = UUID(int=0x7)


async def make(database: Database, org_id: UUID = DEFAULT_ORG_ID, **options: Any) -> tuple[Any, str]:
    settings: dict[str, Any] = {"created_by": ADMIN, "now": NOW} | options
    async with database.transaction(org_id) as connection:
        return await create_key(connection, org_id, "ana@example.com", ["support-lead", "viewer"], **settings)


async def sign_in(database: Database, text: str, *, now: datetime = NOW, org_id: UUID = DEFAULT_ORG_ID) -> Actor:
    async with database.transaction(org_id) as connection:
        return await authenticate(connection, text, now=now)


@pytest.fixture
async def other_org(database_url: str) -> UUID:
    with psycopg.connect(database_url, autocommit=True) as connection:
        connection.execute("INSERT INTO organisation (id, name) VALUES (%s, 'other')", (OTHER_ORG,))
    return OTHER_ORG


async def test_a_key_signs_its_holder_in(database: Database) -> None:
    key, text = await make(database, kind="user")
    actor = await sign_in(database, text)
    assert actor == Actor(DEFAULT_ORG_ID, "user", "ana@example.com", frozenset({"support-lead", "viewer"}))
    assert text.startswith(f"so_{key.key_id}_")


async def test_the_secret_is_stored_nowhere(database: Database) -> None:
    _, text = await make(database)
    secret = text.rsplit("_", 1)[1]
    async with database.transaction(DEFAULT_ORG_ID) as connection:
        row = await connection.fetchrow("SELECT api_key::text AS everything FROM api_key")
    assert row is not None
    assert secret not in row["everything"]


@pytest.mark.parametrize("change", ["", "so_", "so_x_y", "last", "id", "upper", "space", "newline"])
async def test_whatever_is_not_exactly_the_key_is_refused(database: Database, change: str) -> None:
    key, text = await make(database)
    shown = {
        "last": text[:-1] + ("0" if text[-1] != "0" else "1"),
        "id": text.replace(key.key_id, "0" * 16),
        "upper": text.upper(),
        "space": text + " ",
        "newline": text + "\n",
    }.get(change, change)
    with pytest.raises(UnauthenticatedError, match="is not valid") as caught:
        await sign_in(database, shown)
    assert not shown or shown not in str(caught.value.as_problem_details())


async def test_a_key_ends_at_its_expiry(database: Database) -> None:
    _, text = await make(database, expires_at=NOW + timedelta(hours=1))
    await sign_in(database, text, now=NOW + timedelta(minutes=59))
    with pytest.raises(UnauthenticatedError, match="has expired"):
        await sign_in(database, text, now=NOW + timedelta(hours=1))


async def test_a_revoked_key_is_refused_and_the_first_revocation_stands(database: Database) -> None:
    key, text = await make(database)
    for minutes in (1, 2):
        async with database.transaction(DEFAULT_ORG_ID) as connection:
            now = NOW + timedelta(minutes=minutes)
            revoked = await revoke_key(connection, DEFAULT_ORG_ID, key.key_id, revoked_by=ADMIN, now=now)
        assert revoked.revoked_at == NOW + timedelta(minutes=1)
    with pytest.raises(UnauthenticatedError, match="was revoked"):
        await sign_in(database, text)


async def test_use_is_noted_to_the_hour(database: Database) -> None:
    _, text = await make(database)
    seen: list[datetime | None] = []
    for minutes in (0, 30, 61):
        await sign_in(database, text, now=NOW + timedelta(minutes=minutes))
        async with database.transaction(DEFAULT_ORG_ID) as connection:
            (listed,) = await list_keys(connection, DEFAULT_ORG_ID)
        seen.append(listed.last_used_at)
    assert seen == [NOW, NOW, NOW + timedelta(minutes=61)]


async def test_sign_in_needs_no_organisation_and_gives_the_keys_own(database: Database, other_org: UUID) -> None:
    _, text = await make(database, other_org)
    assert (await sign_in(database, text, org_id=DEFAULT_ORG_ID)).org_id == other_org
    async with database.worker_transaction() as connection:
        assert (await authenticate(connection, text, now=NOW)).org_id == other_org


async def test_organisations_do_not_see_each_others_keys(database: Database, other_org: UUID) -> None:
    key, _ = await make(database, other_org)
    async with database.transaction(DEFAULT_ORG_ID) as connection:
        assert await list_keys(connection, DEFAULT_ORG_ID) == ()
        assert await list_keys(connection, other_org) == ()
        with pytest.raises(NotFoundError):
            await revoke_key(connection, DEFAULT_ORG_ID, key.key_id, revoked_by=ADMIN, now=NOW)
    async with database.transaction(DEFAULT_ORG_ID) as connection:
        with pytest.raises(DatabaseError):
            await create_key(connection, other_org, "eve", [], created_by=ADMIN, now=NOW)


@pytest.mark.parametrize(
    "statement", ["UPDATE api_key SET roles = '{admin}'", "UPDATE api_key SET secret_hash = ''", "DELETE FROM api_key"]
)
async def test_the_program_itself_cannot_change_a_key(database: Database, statement: str) -> None:
    await make(database)
    for transaction in (database.transaction(DEFAULT_ORG_ID), database.worker_transaction()):
        with pytest.raises(DatabaseError, match="permission denied"):
            async with transaction as connection:
                await connection.execute(statement)


@pytest.mark.parametrize(
    ("actor_id", "roles", "pointer"),
    [
        ("", [], "/actor_id"),
        ("a b", [], "/actor_id"),
        ("x" * 200, [], "/actor_id"),
        ("ana\n", [], "/actor_id"),
        ("ana", ["role/lead"], "/roles"),
        ("ana", ["Lead"], "/roles"),
        ("ana", [f"r{number}" for number in range(33)], "/roles"),
    ],
)
async def test_bad_names_and_roles_are_named(database: Database, actor_id: str, roles: list[str], pointer: str) -> None:
    async with database.transaction(DEFAULT_ORG_ID) as connection:
        with pytest.raises(InvalidError) as caught:
            await create_key(connection, DEFAULT_ORG_ID, actor_id, roles, created_by=ADMIN, now=NOW)
    assert [problem.pointer for problem in caught.value.problems] == [pointer]


async def test_an_expiry_in_the_past_is_refused(database: Database) -> None:
    with pytest.raises(InvalidError):
        await make(database, expires_at=NOW)
