from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import psycopg
import pytest
from support.bad_input_cases import SHOP_TOKEN
from support.cli_cases import Result, Run, inside
from support.http_server import LoopbackServer, loopback_server, reply


@pytest.fixture
def protected_table(database_url: str) -> str:
    """A table made and protected the way migrations do it."""
    with psycopg.connect(database_url, autocommit=True) as connection:
        connection.execute(
            "CREATE TABLE probe (org_id uuid NOT NULL REFERENCES organisation, name text, PRIMARY KEY (org_id, name))"
        )
        connection.execute("SELECT signoff_protect('probe')")
    return "probe"


@pytest.fixture
def shop(monkeypatch: pytest.MonkeyPatch) -> Iterator[LoopbackServer]:
    """A shop that answers every request with what a payment gives; tests make it answer otherwise."""
    monkeypatch.setenv("SIGNOFF_SECRET_SHOP_TOKEN", SHOP_TOKEN)
    with loopback_server(reply(b'{"id": "r-1"}')) as server:
        yield server


@pytest.fixture
def new_project(tmp_path: Path) -> Path:
    assert inside("init", "app", cwd=tmp_path).code == 0
    return tmp_path / "app"


@pytest.fixture
def run(new_project: Path, database_url: str) -> Run:
    def running(*arguments: str) -> Result:
        return inside(*arguments, cwd=new_project, variables={"SIGNOFF_DATABASE__URL": database_url})

    return running
