from __future__ import annotations

import psycopg
import pytest


@pytest.fixture
def protected_table(database_url: str) -> str:
    """A table made and protected the way migrations do it."""
    with psycopg.connect(database_url, autocommit=True) as connection:
        connection.execute(
            "CREATE TABLE probe (org_id uuid NOT NULL REFERENCES organisation, name text, PRIMARY KEY (org_id, name))"
        )
        connection.execute("SELECT signoff_protect('probe')")
    return "probe"
