"""The ways to the database: roles, transactions, failures, recovery, notifications."""

from __future__ import annotations

import asyncio
import tempfile
from collections.abc import AsyncIterator, Iterator
from contextlib import AbstractAsyncContextManager
from pathlib import Path

import pytest

from signoff.core.errors import InvalidError, UnavailableError
from signoff.core.ids import uuid7
from signoff.foundation.database import (
    DEFAULT_ORG_ID,
    Connection,
    Database,
    DatabaseError,
    EmbeddedServer,
    UniqueViolation,
    affected_rows,
    constraint_of,
    migrate,
    open_database,
)
from signoff.foundation.settings import DatabaseSettings, Settings

ADD_ORGANISATION = "INSERT INTO organisation (id, name) VALUES ($1, $2)"


@pytest.fixture
def own_server() -> Iterator[EmbeddedServer]:
    """A server that the test may stop and start as it likes."""
    with tempfile.TemporaryDirectory(prefix="signoff-") as name:
        Path(name).chmod(0o755)
        server = EmbeddedServer(Path(name), durable=False)
        migrate(server.start())
        yield server
        server.stop()


@pytest.fixture
async def patient(own_server: EmbeddedServer) -> AsyncIterator[Database]:
    """A database that waits long for its server to come back."""
    settings = DatabaseSettings(url=own_server.start(), recovery_wait_s=60, app_pool_size=3, worker_pool_size=3)
    async with await Database.open(settings) as opened:
        yield opened


async def test_both_roles_see_the_default_organisation(database: Database) -> None:
    async with database.transaction(DEFAULT_ORG_ID) as connection:
        row = await connection.fetchrow("SELECT name, current_user AS role FROM organisation")
        assert row is not None
        assert (row["name"], row["role"]) == ("default", "signoff_app")
    async with database.worker_transaction() as connection:
        assert await connection.fetchval("SELECT current_user") == "signoff_worker"


@pytest.mark.parametrize("statement", ["RESET ROLE", "RESET ALL", "DISCARD ALL", "RESET SESSION AUTHORIZATION"])
async def test_resetting_the_session_stays_in_the_role(database: Database, statement: str) -> None:
    async with database.worker_connection() as connection:
        await connection.execute(statement)
        assert await connection.fetchval("SELECT current_user") == "signoff_worker"


async def test_limits_of_the_settings_reach_the_server(database_url: str) -> None:
    settings = DatabaseSettings(url=database_url, statement_timeout_s=1.5, idle_in_transaction_timeout_s=2)
    async with await Database.open(settings) as database, database.worker_connection() as connection:
        assert await connection.fetchval("SHOW statement_timeout") == "1500ms"
        assert await connection.fetchval("SHOW idle_in_transaction_session_timeout") == "2s"
        assert await connection.fetchval("SHOW timezone") == "UTC"


async def test_a_transaction_commits_at_the_end_and_rolls_back_on_an_exception(
    database: Database, protected_table: str
) -> None:
    async with database.transaction(DEFAULT_ORG_ID) as connection:
        await connection.execute(f"INSERT INTO {protected_table} VALUES ($1, 'kept')", DEFAULT_ORG_ID)

    async def fail() -> None:
        async with database.transaction(DEFAULT_ORG_ID) as connection:
            await connection.execute(f"INSERT INTO {protected_table} VALUES ($1, 'lost')", DEFAULT_ORG_ID)
            raise LookupError

    with pytest.raises(LookupError):
        await fail()
    async with database.transaction(DEFAULT_ORG_ID) as connection:
        assert [row["name"] for row in await connection.fetch(f"SELECT name FROM {protected_table}")] == ["kept"]


async def test_a_savepoint_inside_a_transaction(database: Database, protected_table: str) -> None:
    insert = f"INSERT INTO {protected_table} VALUES ($1, $2)"

    async def add(connection: Connection, name: str) -> None:
        async with connection.transaction():
            await connection.execute(insert, DEFAULT_ORG_ID, name)

    async with database.transaction(DEFAULT_ORG_ID) as connection:
        await add(connection, "once")
        with pytest.raises(UniqueViolation) as caught:
            await add(connection, "once")
        assert constraint_of(caught.value) == f"{protected_table}_pkey"
        status = await connection.execute(f"UPDATE {protected_table} SET name = 'twice'")
        assert affected_rows(status) == 1


async def test_the_organisation_does_not_outlive_its_transaction(database_url: str, protected_table: str) -> None:
    async with await Database.open(DatabaseSettings(url=database_url, app_pool_size=1)) as database:
        async with database.transaction(DEFAULT_ORG_ID):
            pass
        async with database.transaction(uuid7()) as connection:
            assert await connection.fetch(f"SELECT * FROM {protected_table}") == []
            assert await connection.fetch("SELECT * FROM organisation") == []


async def test_a_listener_hears_what_is_sent(database: Database) -> None:
    heard: asyncio.Queue[str] = asyncio.Queue()
    async with database.listen("bell", heard.put_nowait):
        assert await heard.get() == ""  # connected
        await database.notify("bell", "ring")
        assert await heard.get() == "ring"


async def test_what_is_sent_here_is_heard_here_once(database: Database, database_url: str) -> None:
    heard: asyncio.Queue[str] = asyncio.Queue()
    async with (
        await Database.open(DatabaseSettings(url=database_url)) as other,
        database.listen("bell", heard.put_nowait),
    ):
        assert await heard.get() == ""  # connected
        await database.notify("bell", "own")
        await other.notify("bell", "other's")
        assert [await heard.get(), await heard.get()] == ["own", "other's"]


async def test_a_restart_of_the_server_is_not_noticed(patient: Database, own_server: EmbeddedServer) -> None:
    heard: asyncio.Queue[str] = asyncio.Queue()
    async with patient.listen("bell", heard.put_nowait):
        assert await heard.get() == ""
        # Several connections of the pool are open, so that several are stale afterwards.
        async with patient.worker_transaction(), patient.worker_transaction(), patient.transaction(DEFAULT_ORG_ID):
            pass
        await asyncio.to_thread(own_server.stop)
        restart = asyncio.create_task(asyncio.to_thread(own_server.start))
        async with patient.transaction(DEFAULT_ORG_ID) as connection:  # begun while the server is down
            assert await connection.fetchval("SELECT name FROM organisation") == "default"
        async with patient.worker_transaction() as connection:
            assert await connection.fetchval("SELECT count(*) FROM organisation") == 1
        await restart
        assert await heard.get() == ""  # connected again
        await patient.notify("bell", "ring")
        assert await heard.get() == "ring"


async def test_a_server_that_goes_away_in_a_transaction_is_unavailable(
    patient: Database, own_server: EmbeddedServer
) -> None:
    async def lose(context: AbstractAsyncContextManager[Connection]) -> None:
        async with context as connection:
            await connection.fetchval("SELECT 1")
            await asyncio.to_thread(own_server.stop)
            await connection.fetchval("SELECT 1")

    for way in (patient.worker_transaction, patient.worker_connection, lambda: patient.transaction(DEFAULT_ORG_ID)):
        with pytest.raises(UnavailableError, match="connection to PostgreSQL was lost"):
            await lose(way())
        await asyncio.to_thread(own_server.start)
    await patient.ping()


async def test_a_server_that_stays_away_is_unavailable(own_server: EmbeddedServer) -> None:
    settings = DatabaseSettings(url=own_server.start(), recovery_wait_s=0.1)
    async with await Database.open(settings) as database:
        await asyncio.to_thread(own_server.stop)
        with pytest.raises(UnavailableError, match="does not answer"):
            await database.ping()
        with pytest.raises(UnavailableError, match="does not answer"):
            await database.transaction(DEFAULT_ORG_ID).__aenter__()
        with pytest.raises(UnavailableError, match="does not answer"):
            await Database.open(settings)
        with pytest.raises(UnavailableError, match="could not be migrated"):
            await asyncio.to_thread(migrate, str(settings.url))


async def test_a_statement_that_takes_too_long_is_unavailable(database_url: str) -> None:
    async with await Database.open(DatabaseSettings(url=database_url, statement_timeout_s=1.0)) as database:

        async def dawdle() -> None:
            async with database.worker_transaction() as connection:
                await connection.fetchval("SELECT pg_sleep(30)")

        with pytest.raises(UnavailableError, match="statement timeout"):
            await dawdle()


async def test_a_pool_without_a_free_connection_is_unavailable(database_url: str) -> None:
    settings = DatabaseSettings(url=database_url, worker_pool_size=1, connect_timeout_s=2.0, recovery_wait_s=0)
    async with await Database.open(settings) as database:
        async with database.worker_connection():
            with pytest.raises(UnavailableError):
                await database.ping()
        await database.ping()


async def test_a_refused_statement_stays_a_database_error(database: Database) -> None:
    async def misuse() -> None:
        async with database.transaction(DEFAULT_ORG_ID) as connection:
            await connection.execute(ADD_ORGANISATION, uuid7(), "mine")

    with pytest.raises(DatabaseError, match="permission denied"):
        await misuse()


async def test_opening_what_cannot_be_opened(postgres_url: str, database_url: str) -> None:
    with pytest.raises(InvalidError, match="SIGNOFF_DATABASE__URL"):
        await Database.open(DatabaseSettings())
    with pytest.raises(InvalidError, match="cannot be read"):
        await Database.open(DatabaseSettings(url="mysql://somewhere/else"))
    with pytest.raises(UnavailableError, match="refuses"):
        await Database.open(DatabaseSettings(url=postgres_url.replace("/postgres?", "/nowhere?")))
    with pytest.raises(UnavailableError, match="refuses"):
        await Database.open(DatabaseSettings(url=database_url.replace("postgres@", "nobody@")))


async def test_an_embedded_database_opens_by_itself_and_survives_a_killed_server() -> None:
    import psutil  # noqa: PLC0415  (only this test needs it)

    from signoff.foundation.database.postmaster import runs_in  # noqa: PLC0415

    with tempfile.TemporaryDirectory(prefix="signoff-") as name:
        await asyncio.to_thread(Path(name).chmod, 0o755)
        settings = Settings(state_directory=Path(name), database=DatabaseSettings(recovery_wait_s=60))
        async with open_database(settings) as database:
            await database.ping()
            process = psutil.Process(runs_in(Path(name) / "postgres"))
            process.kill()
            await asyncio.to_thread(process.wait, 10)
            await database.ping()
        assert runs_in(Path(name) / "postgres") is None


async def test_others_are_told_later_and_once(database: Database, database_url: str) -> None:
    here: asyncio.Queue[str] = asyncio.Queue()
    elsewhere: asyncio.Queue[str] = asyncio.Queue()
    async with (
        await Database.open(DatabaseSettings(url=database_url)) as other,
        other.listen("bell", elsewhere.put_nowait),
        database.listen("bell", here.put_nowait),
    ):
        assert [await asyncio.wait_for(heard.get(), 5) for heard in (here, elsewhere)] == ["", ""]
        for _ in range(3):
            await database.notify("bell", "later", others_later=True)
        assert [await asyncio.wait_for(here.get(), 5) for _ in range(3)] == ["later"] * 3
        assert await asyncio.wait_for(elsewhere.get(), 5) == "later"
        await database.notify("bell", "now")
        assert await asyncio.wait_for(elsewhere.get(), 5) == "now"


async def test_what_others_are_still_to_be_told_is_told_at_the_end(database: Database, database_url: str) -> None:
    heard: asyncio.Queue[str] = asyncio.Queue()
    async with database.listen("bell", heard.put_nowait):
        assert await asyncio.wait_for(heard.get(), 5) == ""
        async with (
            await Database.open(DatabaseSettings(url=database_url)) as other,
            other.listen("bell", lambda _: None),
        ):
            await other.notify("bell", "last", others_later=True)
        assert await asyncio.wait_for(heard.get(), 5) == "last"
