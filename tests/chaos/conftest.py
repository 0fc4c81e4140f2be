"""Several databases for one test, each with workers of its own: kill points that do not wait for each other."""

from __future__ import annotations

import uuid
from collections.abc import Iterator

import psycopg
import pytest
from psycopg import sql

LANES = 4


@pytest.fixture
def lane_urls(postgres_url: str, administration: psycopg.Connection, template: str) -> Iterator[list[str]]:
    """The URLs of that many migrated databases."""
    names = [f"test_{uuid.uuid4().hex}" for _ in range(LANES)]
    for name in names:
        create = sql.SQL("CREATE DATABASE {} TEMPLATE {} STRATEGY file_copy")
        administration.execute(create.format(sql.Identifier(name), sql.Identifier(template)))
    yield [postgres_url.replace("/postgres?", f"/{name}?") for name in names]
    for name in names:
        administration.execute(sql.SQL("DROP DATABASE {} WITH (FORCE)").format(sql.Identifier(name)))
