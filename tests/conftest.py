"""Fixtures for all tests: a real PostgreSQL, and a fresh migrated database for each test that asks for one.

One server is shared by all pytest processes of this checkout (xdist's workers, and runs side by side); the last to
leave stops it and removes its data. Each test's database is a copy of a template that is migrated once, and again when
a migration changes.
"""

from __future__ import annotations

import hashlib
import logging
import os
import sys
import tempfile
import uuid
from collections.abc import AsyncIterator, Iterator
from pathlib import Path

import psycopg
import pytest
from psycopg import sql

# Test directories are no packages; this makes `from support.data import shared_data` work in each of them.
sys.path.insert(0, str(Path(__file__).parent))

from signoff.foundation.database import Database, EmbeddedServer, migrate
from signoff.foundation.database.migrate import migrations_digest
from signoff.foundation.settings import DatabaseSettings

_CHECKOUT = Path(__file__).parent.parent
_TEMPLATE_LOCK = 7_001


@pytest.fixture(autouse=True)
def unconfigured_logging() -> None:
    """Every test begins with Signoff's logger as Python makes it, whatever configured it before."""
    logger = logging.getLogger("signoff")
    logger.handlers.clear()
    logger.setLevel(logging.NOTSET)
    logger.propagate = True


@pytest.fixture(scope="session")
def postgres_url() -> Iterator[str]:
    """The URL of the tests' server; its database `postgres` is for administration only."""
    name = hashlib.sha256(str(_CHECKOUT).encode()).hexdigest()[:12]
    directory = Path(tempfile.gettempdir()) / f"signoff-tests-{os.geteuid()}-{name}"
    directory.mkdir(mode=0o711, exist_ok=True)
    server = EmbeddedServer(directory, max_connections=400, durable=False)
    yield server.start()
    server.stop(delete=True)


@pytest.fixture(scope="session")
def administration(postgres_url: str) -> Iterator[psycopg.Connection]:
    """A superuser's connection that creates and drops the tests' databases."""
    with psycopg.connect(postgres_url, autocommit=True) as connection:
        yield connection


@pytest.fixture(scope="session")
def template(postgres_url: str, administration: psycopg.Connection) -> str:
    """The name of the migrated template database."""
    name = f"template_{migrations_digest()[:16]}"
    administration.execute("SELECT pg_advisory_lock(%s)", (_TEMPLATE_LOCK,))
    try:
        known = administration.execute("SELECT 1 FROM pg_database WHERE datname = %s", (name,)).fetchone()
        if known is None:
            building = f"building_{uuid.uuid4().hex}"
            administration.execute(sql.SQL("CREATE DATABASE {}").format(sql.Identifier(building)))
            migrate(_at(postgres_url, building))
            rename = sql.SQL("ALTER DATABASE {} RENAME TO {}")
            administration.execute(rename.format(sql.Identifier(building), sql.Identifier(name)))
    finally:
        administration.execute("SELECT pg_advisory_unlock(%s)", (_TEMPLATE_LOCK,))
    return name


@pytest.fixture
def database_url(postgres_url: str, administration: psycopg.Connection, template: str) -> Iterator[str]:
    """The URL of a database of the test's own, migrated and empty but for the default organisation."""
    name = f"test_{uuid.uuid4().hex}"
    create = sql.SQL("CREATE DATABASE {} TEMPLATE {} STRATEGY file_copy")
    administration.execute(create.format(sql.Identifier(name), sql.Identifier(template)))
    yield _at(postgres_url, name)
    administration.execute(sql.SQL("DROP DATABASE {} WITH (FORCE)").format(sql.Identifier(name)))


@pytest.fixture
async def database(database_url: str) -> AsyncIterator[Database]:
    """An open `Database` on a database of the test's own."""
    async with await Database.open(DatabaseSettings(url=database_url)) as opened:
        yield opened


def _at(url: str, database_name: str) -> str:
    return url.replace("/postgres?", f"/{database_name}?")
