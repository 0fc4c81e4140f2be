"""Migrations: applied once, by one, whole or not at all, also without a superuser."""

from __future__ import annotations

from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from urllib.parse import urlsplit

import psycopg
import pytest
from psycopg import sql
from support.databases import Databases

from signoff.core.errors import UnavailableError
from signoff.core.ids import uuid7
from signoff.foundation.database import DEFAULT_ORG_ID, Database, migrate
from signoff.foundation.database.migrate import MIGRATIONS_DIRECTORY, migrations_digest
from signoff.foundation.database.preparing import require_version
from signoff.foundation.settings import DatabaseSettings


@pytest.fixture
def owner_url(empty_url: str, administration: psycopg.Connection) -> Iterator[str]:
    """A database owned by a user without any power, as managed PostgreSQL offers it; the extension is there."""
    name = f"owner_{uuid7().hex}"
    role = sql.Identifier(name)
    for part in ("CREATE ROLE {} LOGIN", "GRANT signoff_app, signoff_worker TO {}"):
        administration.execute(sql.SQL(part).format(role))
    with psycopg.connect(empty_url, autocommit=True) as connection:
        connection.execute("CREATE EXTENSION vector")
        connection.execute(sql.SQL("ALTER SCHEMA public OWNER TO {}").format(role))
    yield empty_url.replace("postgres@", f"{name}@")
    with psycopg.connect(empty_url, autocommit=True) as connection:
        connection.execute(sql.SQL("DROP OWNED BY {} CASCADE").format(role))
        connection.execute("DROP SCHEMA IF EXISTS public CASCADE")
    administration.execute(sql.SQL("DROP ROLE {}").format(role))


def test_they_are_applied_once(empty_url: str, capfd: pytest.CaptureFixture[str]) -> None:
    applied = migrate(empty_url)
    assert applied[0] == "0001.foundation"
    assert set(applied) == {path.stem for path in MIGRATIONS_DIRECTORY.glob("*.sql")}
    assert migrate(empty_url) == ()
    assert capfd.readouterr().out == ""


def test_two_that_start_at_once_apply_them_once(empty_url: str) -> None:
    with ThreadPoolExecutor(2) as threads:
        first, second = threads.map(migrate, (empty_url, empty_url))
    assert () in (first, second)
    assert first + second


def test_one_that_fails_leaves_nothing_and_is_repeated(empty_url: str, tmp_path: Path) -> None:
    migration = tmp_path / "0001.half.sql"
    migration.write_text("-- depends:\n\nCREATE TABLE half (id int);\n\nSELECT 1 / 0;\n")
    with pytest.raises(UnavailableError, match="division by zero"):
        migrate(empty_url, directory=tmp_path)
    with psycopg.connect(empty_url) as connection:
        assert connection.execute("SELECT to_regclass('half')").fetchone() == (None,)
    migration.write_text("-- depends:\n\nCREATE TABLE half (id int);\n")
    assert migrate(empty_url, directory=tmp_path) == ("0001.half",)


def test_one_that_waits_too_long_for_another_gives_up(empty_url: str) -> None:
    with psycopg.connect(empty_url, autocommit=True) as other:
        other.execute("SELECT pg_advisory_lock(%s)", (0x7369676E6F6666,))
        with pytest.raises(UnavailableError, match="lock timeout"):
            migrate(empty_url, wait_s=0.05)


async def test_a_user_without_powers_can_own_the_database(databases: Databases, owner_url: str) -> None:
    assert migrate(owner_url)
    async with await Database.open(DatabaseSettings(url=owner_url)) as database:
        async with database.transaction(DEFAULT_ORG_ID) as connection:
            assert await connection.fetchval("SELECT name FROM organisation") == "default"
        async with database.transaction(uuid7()) as connection:
            assert await connection.fetchval("SELECT name FROM organisation") is None


def test_a_user_without_powers_is_told_what_an_administrator_has_to_do(
    empty_url: str, administration: psycopg.Connection
) -> None:
    """It was told "permission denied to create extension" alone. What it is told is enough."""
    name = f"nobody_{uuid7().hex}"
    role = sql.Identifier(name)
    administration.execute(sql.SQL("CREATE ROLE {} LOGIN").format(role))
    url = empty_url.replace("postgres@", f"{name}@")
    with psycopg.connect(empty_url, autocommit=True) as connection:
        try:
            with pytest.raises(UnavailableError, match="permission denied") as refused:
                migrate(url)
            statements = refused.value.detail.partition(f"connected to '{connection.info.dbname}': ")[2]
            assert "CREATE EXTENSION vector;" in statements
            for statement in statements.removesuffix(";").split(";"):
                connection.execute(statement.encode())
            assert migrate(url)
        finally:
            connection.execute(sql.SQL("DROP OWNED BY {} CASCADE").format(role))
            connection.execute("DROP SCHEMA IF EXISTS public CASCADE")
            administration.execute(sql.SQL("DROP ROLE {}").format(role))


def test_a_server_that_is_too_old_is_told_so() -> None:
    """It was told of an unrecognised privilege."""
    with pytest.raises(UnavailableError, match=r"needs PostgreSQL 16 or newer; this server is 15\.18\."):
        require_version(150018)
    require_version(160000)


def test_a_database_that_is_not_in_utf_8_is_told_so(empty_url: str, administration: psycopg.Connection) -> None:
    """A cluster made under the C locale has such ones. It was told of an operator that does not exist."""
    name = f"ascii_{uuid7().hex}"
    made = sql.SQL("CREATE DATABASE {} ENCODING 'SQL_ASCII' LOCALE 'C' TEMPLATE template0")
    administration.execute(made.format(sql.Identifier(name)))
    try:
        with pytest.raises(UnavailableError, match=f"'{name}' is in SQL_ASCII. Make one: CREATE DATABASE"):
            migrate(urlsplit(empty_url)._replace(path=f"/{name}").geturl())
    finally:
        administration.execute(sql.SQL("DROP DATABASE {}").format(sql.Identifier(name)))


def test_each_names_what_it_depends_on() -> None:
    for path in sorted(MIGRATIONS_DIRECTORY.glob("*.sql"))[1:]:
        assert "-- depends: 0001.foundation" in path.read_text(), path.name


def test_the_digest_follows_names_and_contents(tmp_path: Path) -> None:
    (tmp_path / "a.sql").write_text("SELECT 1")
    first = migrations_digest(tmp_path)
    (tmp_path / "a.sql").write_text("SELECT 2")
    second = migrations_digest(tmp_path)
    (tmp_path / "a.sql").rename(tmp_path / "b.sql")
    assert len({first, second, migrations_digest(tmp_path)}) == 3
