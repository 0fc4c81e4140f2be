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
