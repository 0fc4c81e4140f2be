"""Row-level security: organisations never see each other, and no table is forgotten."""

from __future__ import annotations

from uuid import UUID

import psycopg
import pytest
from psycopg import sql

from signoff.core.ids import uuid7
from signoff.foundation.database import DEFAULT_ORG_ID, Database, DatabaseError, affected_rows

# Tables without org_id, each with the reason why one organisation may not or need not be named in it.
WITHOUT_ORGANISATION = {
    "organisation": "is the organisation itself; its id plays the part of org_id, and its policies say so",
    "server_history": "it is about the database as a whole, and says nothing of anybody's data",
    "worker_session": "worker processes serve all organisations; the app role may only look whether any is alive",
    "_yoyo_log": "yoyo's record of migrations",
    "_yoyo_migration": "yoyo's record of migrations",
    "_yoyo_version": "yoyo's record of migrations",
    "yoyo_lock": "yoyo's record of migrations",
}

# Partitions have no grants of their own: they are reached through their parent, whose policies then count.
TABLES = """
SELECT c.oid::regclass::text AS name, c.relrowsecurity AND c.relforcerowsecurity AS forced,
       EXISTS (SELECT 1 FROM pg_attribute a WHERE a.attrelid = c.oid AND a.attname = 'org_id' AND a.attnotnull
                 AND a.atttypid = 'uuid'::regtype) AS has_org_id,
       ARRAY(SELECT p.polname::text FROM pg_policy p WHERE p.polrelid = c.oid) AS policies
FROM pg_class c
WHERE c.relnamespace = 'public'::regnamespace AND c.relkind IN ('r', 'p') AND NOT c.relispartition
"""

OPEN_PARTITIONS = """
SELECT c.oid::regclass::text
FROM pg_class c, unnest(ARRAY['signoff_app', 'signoff_worker']) AS role
WHERE c.relispartition AND NOT c.relrowsecurity AND has_table_privilege(role, c.oid, 'SELECT, INSERT, UPDATE, DELETE')
"""

# Materialised views and ordinary views run with their owner's rights: they would show everything to everyone.
OPEN_VIEWS = """
SELECT c.oid::regclass::text
FROM pg_class c
WHERE c.relnamespace = 'public'::regnamespace
  AND (c.relkind = 'm' OR (c.relkind = 'v' AND NOT coalesce(c.reloptions @> ARRAY['security_invoker=true'], false)))
"""

# Functions that run with their owner's rights, each with the reason.
DEFINER_FUNCTIONS = {
    "signoff_find_api_key(text)": "sign-in happens before the organisation is known; finds one row by its id",
    "signoff_note_api_key_use(text,timestamp with time zone)": "sign-in likewise; touches that row's last use only",
    "signoff_prepare_journal(integer)": "makes the journal's partitions of the coming months, and nothing else",
    "signoff_retire_batch(uuid,uuid,timestamp with time zone)": "drops what finished runs of a recorded batch left",
    "signoff_release_use(uuid,text)": "tells of the own organisation alone why a release is in use",
    "signoff_delete_release(uuid,text)": "deletes a release of the own organisation that nothing uses",
    "signoff_drop_journal_month(date)": "drops a partition of the journal that is over and empty",
    "signoff_long_transactions(double precision)": "counts transactions that are open for long; gives no text of them",
    "signoff_end_backends(text[])": "ends connections of the same login whose processes have no session that is alive",
}

DEFINERS = """
SELECT p.oid::regprocedure::text AS name,
       has_function_privilege('public', p.oid, 'EXECUTE') AS for_everybody,
       EXISTS (SELECT 1 FROM unnest(p.proconfig) AS setting WHERE setting LIKE 'search_path=pg_catalog, %') AS pinned
FROM pg_proc p
WHERE p.pronamespace = 'public'::regnamespace AND p.prosecdef
"""

# The app role, or everybody, has no policy but the one that compares the organisation.
WIDER_POLICIES = """
SELECT p.polrelid::regclass::text, p.polname
FROM pg_policy p
WHERE (0 = ANY (p.polroles) OR 'signoff_app'::regrole = ANY (p.polroles))
  AND (p.polname, p.polrelid) IS DISTINCT FROM ('app_reads_its_own', 'organisation'::regclass)
  AND p.polname <> 'app_own_organisation'
"""


@pytest.fixture
def other_org_id(database_url: str) -> UUID:
    org_id = uuid7()
    with psycopg.connect(database_url, autocommit=True) as connection:
        connection.execute("INSERT INTO organisation (id, name) VALUES (%s, 'other')", (org_id,))
    return org_id


async def test_one_organisation_neither_sees_nor_changes_another(
    database: Database, protected_table: str, other_org_id: UUID
) -> None:
    for org_id, name in ((DEFAULT_ORG_ID, "ours"), (other_org_id, "theirs")):
        async with database.transaction(org_id) as connection:
            await connection.execute(f"INSERT INTO {protected_table} VALUES ($1, $2)", org_id, name)
    async with database.transaction(DEFAULT_ORG_ID) as connection:
        assert [row["name"] for row in await connection.fetch(f"SELECT name FROM {protected_table}")] == ["ours"]
        by_key = await connection.fetch(f"SELECT name FROM {protected_table} WHERE org_id = $1", other_org_id)
        assert by_key == []
        changed = await connection.execute(f"UPDATE {protected_table} SET name = name || '!'")
        assert affected_rows(changed) == 1
        deleted = await connection.execute(f"DELETE FROM {protected_table} WHERE org_id = $1", other_org_id)
        assert affected_rows(deleted) == 0
    async with database.worker_transaction() as connection:
        names = [row["name"] for row in await connection.fetch(f"SELECT name FROM {protected_table} ORDER BY name")]
        assert names == ["ours!", "theirs"]


@pytest.mark.parametrize(
    "statement", ["INSERT INTO {table} VALUES ($1, 'planted')", "UPDATE {table} SET org_id = $1 WHERE name = 'ours'"]
)
async def test_no_row_can_be_put_into_another_organisation(
    database: Database, protected_table: str, other_org_id: UUID, statement: str
) -> None:
    async with database.transaction(DEFAULT_ORG_ID) as connection:
        await connection.execute(f"INSERT INTO {protected_table} VALUES ($1, 'ours')", DEFAULT_ORG_ID)

    async def plant() -> None:
        async with database.transaction(DEFAULT_ORG_ID) as connection:
            await connection.execute(statement.format(table=protected_table), other_org_id)

    with pytest.raises(DatabaseError, match="row-level security"):
        await plant()


def test_the_app_role_without_an_organisation_sees_an_error_not_everything(
    database_url: str, protected_table: str
) -> None:
    with psycopg.connect(database_url, autocommit=True) as connection:
        connection.execute("INSERT INTO probe VALUES (%s, 'ours')", (DEFAULT_ORG_ID,))
        connection.execute("SET ROLE signoff_app")
        with pytest.raises(psycopg.errors.UndefinedObject, match=r"signoff\.org_id"):
            connection.execute("SELECT * FROM probe")
        connection.execute("SELECT set_config('signoff.org_id', '', false)")
        with pytest.raises(psycopg.errors.InvalidTextRepresentation):
            connection.execute("SELECT * FROM probe")


@pytest.mark.parametrize("role", ["signoff_app", "signoff_worker"])
def test_the_roles_have_no_powers(database_url: str, role: str) -> None:
    with psycopg.connect(database_url) as connection:
        powers = connection.execute(
            "SELECT rolsuper OR rolbypassrls OR rolcreaterole OR rolcreatedb OR rolcanlogin OR rolreplication"
            " FROM pg_roles WHERE rolname = %s",
            (role,),
        ).fetchone()
        assert powers == (False,)
        connection.execute(sql.SQL("SET ROLE {}").format(sql.Identifier(role)))
        with pytest.raises(psycopg.errors.InsufficientPrivilege), connection.transaction():
            connection.execute("CREATE TABLE public.mine (id int)")
        with pytest.raises(psycopg.errors.InsufficientPrivilege), connection.transaction():
            connection.execute("ALTER TABLE organisation DISABLE ROW LEVEL SECURITY")
        with pytest.raises(psycopg.errors.InsufficientPrivilege), connection.transaction():
            connection.execute("SELECT signoff_protect('organisation')")
        with pytest.raises(psycopg.errors.InsufficientPrivilege), connection.transaction():
            connection.execute("SELECT pg_read_file('/etc/passwd')")


def test_every_table_has_an_organisation_and_forced_row_level_security(database_url: str) -> None:
    with psycopg.connect(database_url) as connection:
        tables = connection.execute(TABLES).fetchall()
    forgotten = {
        name
        for name, forced, has_org_id, policies in tables
        if name not in WITHOUT_ORGANISATION
        and not (forced and has_org_id and {"app_own_organisation", "worker_all_organisations"} <= set(policies))
    }
    assert forgotten == set(), "give these an org_id uuid NOT NULL and SELECT signoff_protect('…')"
    assert {name for name, forced, *_ in tables if name == "organisation" and forced} == {"organisation"}


def test_the_app_role_changes_none_of_the_tables_without_an_organisation(database_url: str) -> None:
    with psycopg.connect(database_url) as connection:
        reachable = {
            name
            for (name, *_) in connection.execute(TABLES).fetchall()
            if name in WITHOUT_ORGANISATION and name != "organisation"
            for privilege in ("SELECT", "INSERT", "UPDATE", "DELETE")
            if (name, privilege) not in (("worker_session", "SELECT"), ("server_history", "SELECT"))
            if connection.execute("SELECT has_table_privilege('signoff_app', %s, %s)", (name, privilege)).fetchone()
            == (True,)
        }
    assert reachable == set()


@pytest.mark.parametrize(
    "query", [OPEN_PARTITIONS, OPEN_VIEWS, WIDER_POLICIES], ids=["partitions", "views", "policies"]
)
def test_nothing_goes_round_row_level_security(database_url: str, query: str) -> None:
    with psycopg.connect(database_url) as connection:
        assert connection.execute(query.encode()).fetchall() == []


def test_functions_with_their_owners_rights_are_few_and_closed(database_url: str) -> None:
    with psycopg.connect(database_url) as connection:
        functions = connection.execute(DEFINERS).fetchall()
    assert {name for name, *_ in functions} <= set(DEFINER_FUNCTIONS)
    assert [name for name, for_everybody, pinned in functions if for_everybody or not pinned] == []
