"""What the programs' roles may not do to the engine's tables, whatever a program tries."""

from __future__ import annotations

import psycopg
import pytest


@pytest.mark.parametrize("role", ["signoff_app", "signoff_worker"])
@pytest.mark.parametrize("privilege", ["UPDATE", "DELETE", "TRUNCATE"])
def test_a_journal_is_only_appended_to(database_url: str, role: str, privilege: str) -> None:
    with psycopg.connect(database_url) as connection:
        query = "SELECT has_table_privilege(%s, 'journal', %s), has_table_privilege(%s, 'journal', 'INSERT')"
        assert connection.execute(query, (role, privilege, role)).fetchone() == (False, True)


@pytest.mark.parametrize("role", ["signoff_app", "signoff_worker"])
@pytest.mark.parametrize("table", ["run", "approval_use", "effect_key"])
@pytest.mark.parametrize("privilege", ["UPDATE", "DELETE", "TRUNCATE"])
def test_facts_and_consumed_approvals_stay_as_they_are(
    database_url: str, role: str, table: str, privilege: str
) -> None:
    with psycopg.connect(database_url) as connection:
        query = "SELECT has_table_privilege(%s, %s, %s)"
        assert connection.execute(query, (role, table, privilege)).fetchone() == (False,)


def test_only_a_worker_moves_the_generation_of_a_key_on(database_url: str) -> None:
    with psycopg.connect(database_url) as connection:
        query = "SELECT has_column_privilege(%s, 'effect_key', 'generation', 'UPDATE')"
        assert connection.execute(query, ("signoff_worker",)).fetchone() == (True,)
        assert connection.execute(query, ("signoff_app",)).fetchone() == (False,)
