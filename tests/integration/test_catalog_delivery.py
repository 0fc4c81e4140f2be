"""Moves under a fence, and deletion that the database itself refuses while anything needs the release."""

from __future__ import annotations

import asyncio
from uuid import UUID

import psycopg
import pytest
from support.api_cases import COUNT, deployed, serving, started
from support.catalog_files import changed, template_files
from support.review_cases import another_organisation

from signoff.catalog import Project, ReleaseCatalog, load_project_files
from signoff.catalog.delivery.environments import (
    EnvironmentMovedError,
    list_environments,
    move_environment,
    read_environment,
    rollback_target,
)
from signoff.catalog.delivery.listing import ReleaseInUseError, delete_release, find_release, page_releases, release_use
from signoff.catalog.delivery.publishing import publish
from signoff.catalog.registry.versions import PromptVersionError, prompt_history
from signoff.core.actors import Actor
from signoff.core.clock import SystemClock
from signoff.core.errors import ConflictError, InvalidError, NotFoundError
from signoff.foundation.database import DEFAULT_ORG_ID, Database, DatabaseError

ANA = Actor(DEFAULT_ORG_ID, "user", "ana", frozenset({"operator"}))


def projects() -> list[Project]:
    return [
        load_project_files(template_files()),
        load_project_files(changed("tools/replies.py", "Hello", "Dear")),
        load_project_files(changed("tools/replies.py", "Hello", "Good day")),
    ]


async def published(database: Database, project: Project, message: str = "") -> str:
    async with database.transaction(DEFAULT_ORG_ID) as connection:
        done = await publish(connection, DEFAULT_ORG_ID, project, actor=ANA, message=message, now=SystemClock().now())
    return done.digest


async def moved(database: Database, release: str, seen: int | None, environment: str = "prod") -> bool:
    async with database.transaction(DEFAULT_ORG_ID) as connection:
        done = await move_environment(
            connection, DEFAULT_ORG_ID, "hello", environment, release, actor=ANA, seen=seen, reason="because"
        )
    return done.changed


async def deleted(database: Database, release: str, org_id: UUID = DEFAULT_ORG_ID) -> None:
    async with database.transaction(org_id) as connection:
        await delete_release(connection, org_id, release)


def backdate(url: str) -> None:
    """As if everything that was deployed had been so an hour ago: only the database's owner can."""
    with psycopg.connect(url, autocommit=True) as connection:
        connection.execute("UPDATE environment_change SET changed_at = changed_at - interval '1 hour'")


async def test_the_second_of_two_who_saw_the_same_moves_nothing(database: Database) -> None:
    digests = [await published(database, project) for project in projects()]
    assert await moved(database, digests[0], 0)
    outcomes = await asyncio.gather(*(moved(database, digest, 1) for digest in digests[1:]), return_exceptions=True)
    assert {type(outcome) for outcome in outcomes} == {bool, EnvironmentMovedError}
    assert not await moved(database, digests[1] if outcomes[0] is True else digests[2], 1)  # its own retry
    for seen in (0, 1, 7):
        with pytest.raises(EnvironmentMovedError, match="user/ana"):
            await moved(database, digests[0], seen)
    with pytest.raises(EnvironmentMovedError):
        await moved(database, digests[0], 3, "staging")  # nowhere yet, so nobody saw version 3
    async with database.transaction(DEFAULT_ORG_ID) as connection:
        current = await read_environment(connection, DEFAULT_ORG_ID, "hello", "prod")
        assert (current.version, current.reason) == (2, "because")
        assert await rollback_target(connection, current, DEFAULT_ORG_ID) == digests[0]
        assert [one.name for one in await list_environments(connection, DEFAULT_ORG_ID, "hello")] == ["prod"]
        nowhere = await read_environment(connection, DEFAULT_ORG_ID, "hello", "staging")
        with pytest.raises(ConflictError, match="no earlier release"):
            await rollback_target(connection, nowhere, DEFAULT_ORG_ID)


async def test_what_an_environment_needs_is_not_deleted(database: Database, database_url: str) -> None:
    first, second = [await published(database, project) for project in projects()[:2]]
    await moved(database, first, None)
    with pytest.raises(ReleaseInUseError, match="environment prod"):
        await deleted(database, first)
    await moved(database, second, None)
    with pytest.raises(ReleaseInUseError, match="a moment ago"):
        await deleted(database, first)
    backdate(database_url)
    await deleted(database, first)
    with pytest.raises(NotFoundError):
        await ReleaseCatalog(database).load(DEFAULT_ORG_ID, first)
    assert (await ReleaseCatalog(database).load(DEFAULT_ORG_ID, second)).project.name == "hello"
    async with database.transaction(DEFAULT_ORG_ID) as connection:
        contents = await connection.fetchval("SELECT count(*) FROM release_content")
        current = await read_environment(connection, DEFAULT_ORG_ID, "hello", "prod")
        with pytest.raises(ConflictError, match="no earlier release"):
            await rollback_target(connection, current, DEFAULT_ORG_ID)
        assert [
            one.digest for one in await page_releases(connection, DEFAULT_ORG_ID, "hello", after=None, limit=9)
        ] == [second]
    assert contents == len(set(projects()[1].files.values()))


async def test_what_an_unfinished_run_needs_is_not_deleted(database: Database, database_url: str) -> None:
    release = await deployed(database)
    async with serving(database) as api, api.client("clerk") as client:
        run_id = await started(client, COUNT)
    with psycopg.connect(database_url, autocommit=True) as connection:
        connection.execute("DELETE FROM environment_change")
        connection.execute("DELETE FROM environment")
    with pytest.raises(ReleaseInUseError, match=run_id):
        await deleted(database, release)
    with psycopg.connect(database_url, autocommit=True) as connection:
        connection.execute("UPDATE run_view SET status = 'failed', ended_at = now() WHERE run_id = %s", (run_id,))
    await deleted(database, release)


async def test_nobody_deletes_or_asks_about_what_another_organisation_has(
    database: Database, database_url: str
) -> None:
    release = await published(database, projects()[0])
    elsewhere = another_organisation(database_url)
    async with database.transaction(elsewhere) as connection:
        with pytest.raises(NotFoundError):
            await find_release(connection, elsewhere, "hello", release)
    for statement in ("SELECT signoff_delete_release($1, $2)", "SELECT signoff_release_use($1, $2)"):
        with pytest.raises(DatabaseError, match="another organisation"):
            async with database.transaction(elsewhere) as connection:
                await connection.execute(statement, DEFAULT_ORG_ID, release)
    async with database.transaction(DEFAULT_ORG_ID) as connection:
        assert await release_use(connection, DEFAULT_ORG_ID, release) is None


async def test_one_of_two_who_take_a_version_at_once_gets_it(database: Database) -> None:
    old = "You sort messages"
    texts = [load_project_files(changed("prompts/sort-message.md", old, f"You {how} sort messages")) for how in "ab"]
    outcomes = await asyncio.gather(*(published(database, text) for text in texts), return_exceptions=True)
    assert {type(outcome) for outcome in outcomes} == {str, PromptVersionError}
    async with database.transaction(DEFAULT_ORG_ID) as connection:
        assert len(await prompt_history(connection, DEFAULT_ORG_ID, "hello", "sort-message")) == 1
        releases = await page_releases(connection, DEFAULT_ORG_ID, "hello", after=None, limit=9)
    assert len(releases) == 1  # of the other nothing was kept


async def test_a_release_is_found_by_how_its_digest_begins(database: Database) -> None:
    release = await published(database, projects()[0], "The first")
    async with database.transaction(DEFAULT_ORG_ID) as connection:
        found = await find_release(connection, DEFAULT_ORG_ID, "hello", release[:7])
        assert (found.digest, found.message, str(found.published_by)) == (release, "The first", "user/ana")
        for start in ("", release[:6], "%", release[:7].upper() + "G", release + "0"):
            with pytest.raises(InvalidError):
                await find_release(connection, DEFAULT_ORG_ID, "hello", start)
        with pytest.raises(NotFoundError):
            await find_release(connection, DEFAULT_ORG_ID, "hello", "0" * 7)


@pytest.mark.parametrize("table", ["release_publication", "prompt_version", "prompt_score"])
@pytest.mark.parametrize("statement", ["UPDATE {} SET org_id = org_id", "DELETE FROM {}"])
async def test_the_program_changes_no_version_and_no_score(database: Database, table: str, statement: str) -> None:
    with pytest.raises(DatabaseError, match="permission denied"):
        async with database.transaction(DEFAULT_ORG_ID) as connection:
            await connection.execute(statement.format(table))
