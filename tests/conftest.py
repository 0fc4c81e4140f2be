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
from collections.abc import AsyncIterator, Iterator
from pathlib import Path

import psycopg
import pytest

# Test directories are no packages; this makes `from support.data import shared_data` work in each of them.
sys.path.insert(0, str(Path(__file__).parent))

from support.databases import Databases, quick_directory

from signoff.foundation.database import Database, EmbeddedServer
from signoff.foundation.settings import DatabaseSettings

_CHECKOUT = Path(__file__).parent.parent

# Whatever tests write; xdist's workers inherit it. Set before anybody asks where temporary files belong.
if "TMPDIR" not in os.environ and (directory := quick_directory()):
    tempfile.tempdir = os.environ["TMPDIR"] = directory


def pytest_xdist_auto_num_workers() -> int:
    """Three for two cores with `-n auto`: a third of the time tests wait, for leases to end and processes to start."""
    cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    return max(1, cores * 3 // 2)


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
def databases(postgres_url: str, administration: psycopg.Connection) -> Iterator[Databases]:
    """Makes databases; those who need one only ask for `database_url`."""
    made = Databases(postgres_url, administration)
    yield made
    made.drop_left()


@pytest.fixture
def database_url(databases: Databases) -> Iterator[str]:
    """The URL of a database of the test's own, migrated and empty but for the default organisation."""
    with databases.fresh() as url:
        yield url


@pytest.fixture
def empty_url(databases: Databases) -> Iterator[str]:
    """The URL of a database of the test's own with nothing in it."""
    with databases.fresh(migrated=False) as url:
        yield url


@pytest.fixture
async def database(database_url: str) -> AsyncIterator[Database]:
    """An open `Database` on a database of the test's own."""
    async with await Database.open(DatabaseSettings(url=database_url)) as opened:
        yield opened
