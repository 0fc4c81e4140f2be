from __future__ import annotations

from pathlib import Path

import psycopg
import pytest
from support.cli_cases import Result, Run, inside


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
def new_project(tmp_path: Path) -> Path:
    assert inside("init", "app", cwd=tmp_path).code == 0
    return tmp_path / "app"


@pytest.fixture
def run(new_project: Path, database_url: str) -> Run:
    def running(*arguments: str) -> Result:
        return inside(*arguments, cwd=new_project, variables={"SIGNOFF_DATABASE__URL": database_url})

    return running
