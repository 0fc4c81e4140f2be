"""Releases and environments in PostgreSQL: the round trip, what cannot be changed, and whose they are."""

from __future__ import annotations

import asyncio
import itertools
from uuid import UUID, uuid4

import psycopg
import pytest
from support.catalog_files import changed, template_files

from signoff.catalog import (
    Project,
    ReleaseCatalog,
    environment_release,
    load_project_files,
    point_environment,
    register,
)
from signoff.catalog.delivery.listing import page_releases
from signoff.catalog.releases import ReleaseTamperedError, environment_history
from signoff.core.actors import Actor
from signoff.core.errors import ConflictError, NotFoundError
from signoff.foundation.database import DEFAULT_ORG_ID, Database, DatabaseError

ANA = Actor(DEFAULT_ORG_ID, "user", "ana", frozenset({"operator"}))


@pytest.fixture
def project() -> Project:
    return load_project_files(template_files())


@pytest.fixture
def other_project() -> Project:
    return load_project_files(changed("tools/replies.py", "Hello", "Dear"))


@pytest.fixture
def other_org(database_url: str) -> UUID:
    """A second organisation."""
    org_id = uuid4()
    with psycopg.connect(database_url, autocommit=True) as connection:
        connection.execute("INSERT INTO organisation (id, name) VALUES (%s, 'other')", (org_id,))
    return org_id


async def registered(database: Database, project: Project, org_id: UUID = DEFAULT_ORG_ID) -> str:
    async with database.transaction(org_id) as connection:
        return await register(connection, org_id, project, ANA)


async def test_release_round_trip(database: Database, project: Project) -> None:
    digest = await registered(database, project)
    assert digest == project.digest
    release = await ReleaseCatalog(database).load(DEFAULT_ORG_ID, digest)
    assert release.digest == digest
    assert release.project.files == project.files
    assert release.project.workflows["hello"].digest == project.workflows["hello"].digest
    workflow = await ReleaseCatalog(database).workflow(DEFAULT_ORG_ID, digest, "hello")
    assert workflow.name == "hello"


async def test_registering_again_changes_nothing(database: Database, project: Project) -> None:
    first = await registered(database, project)
    assert await registered(database, project) == first
    async with database.transaction(DEFAULT_ORG_ID) as connection:
        entries = await page_releases(connection, DEFAULT_ORG_ID, "hello", after=None, limit=10)
        contents = await connection.fetchval("SELECT count(*) FROM release_content")
    assert [(entry.digest, entry.created_by.id) for entry in entries] == [(first, "ana")]
    assert contents == len(set(project.files.values()))


async def test_many_register_at_once(database: Database, project: Project, other_project: Project) -> None:
    digests = await asyncio.gather(*(registered(database, chosen) for chosen in [project, other_project] * 6))
    assert set(digests) == {project.digest, other_project.digest}
    catalog = ReleaseCatalog(database)
    for digest in set(digests):
        assert (await catalog.load(DEFAULT_ORG_ID, digest)).digest == digest


async def test_releases_share_what_did_not_change(database: Database, project: Project, other_project: Project) -> None:
    await registered(database, project)
    await registered(database, other_project)
    async with database.transaction(DEFAULT_ORG_ID) as connection:
        assert await connection.fetchval("SELECT count(*) FROM release_content") == len(project.files) + 1


async def test_unfinished_registration_leaves_nothing(database: Database, project: Project) -> None:
    async def register_and_stop() -> None:
        async with database.transaction(DEFAULT_ORG_ID) as connection:
            await register(connection, DEFAULT_ORG_ID, project, ANA)
            raise RuntimeError("stop")

    with pytest.raises(RuntimeError, match="stop"):
        await register_and_stop()
    with pytest.raises(NotFoundError):
        await ReleaseCatalog(database).load(DEFAULT_ORG_ID, project.digest)


async def test_unknown_release_and_workflow(database: Database, project: Project) -> None:
    catalog = ReleaseCatalog(database)
    with pytest.raises(NotFoundError, match="There is no release"):
        await catalog.load(DEFAULT_ORG_ID, "0" * 64)
    digest = await registered(database, project)
    with pytest.raises(NotFoundError, match="Did you mean 'hello'"):
        await catalog.workflow(DEFAULT_ORG_ID, digest, "helo")


async def test_failed_load_is_tried_again(database: Database, project: Project) -> None:
    catalog = ReleaseCatalog(database)
    with pytest.raises(NotFoundError):
        await catalog.load(DEFAULT_ORG_ID, project.digest)
    await registered(database, project)
    assert (await catalog.load(DEFAULT_ORG_ID, project.digest)).project.name == "hello"


async def test_loads_at_once_share_one_result_and_survive_a_cancelled_one(database: Database, project: Project) -> None:
    digest = await registered(database, project)
    catalog = ReleaseCatalog(database)
    first = asyncio.create_task(catalog.load(DEFAULT_ORG_ID, digest))
    second = asyncio.create_task(catalog.load(DEFAULT_ORG_ID, digest))
    await asyncio.sleep(0)
    first.cancel()
    loaded = await second
    assert await catalog.load(DEFAULT_ORG_ID, digest) is loaded
    with pytest.raises(asyncio.CancelledError):
        await first


async def test_cache_is_bounded(database: Database, project: Project, other_project: Project) -> None:
    digests = [await registered(database, chosen) for chosen in (project, other_project)]
    catalog = ReleaseCatalog(database, capacity=1)
    first = await catalog.load(DEFAULT_ORG_ID, digests[0])
    assert await catalog.load(DEFAULT_ORG_ID, digests[0]) is first
    await catalog.load(DEFAULT_ORG_ID, digests[1])
    assert await catalog.load(DEFAULT_ORG_ID, digests[0]) is not first


TAMPERING = {
    "a content": "UPDATE release_content SET content = content || '#' WHERE digest = "
    "(SELECT content_digest FROM release_file WHERE path = 'tools/replies.py')",
    "a missing file": "DELETE FROM release_file WHERE path = 'policies/hello.cedar'",
    "a renamed file": "UPDATE release_file SET path = 'tools/other.py' WHERE path = 'tools/replies.py'",
    "an exchanged file": "UPDATE release_file SET content_digest = (SELECT content_digest FROM release_file "
    "WHERE path = 'tools/replies.py') WHERE path = 'policies/hello.cedar'",
}


@pytest.mark.parametrize("statement", TAMPERING.values(), ids=TAMPERING)
async def test_tampering_by_the_databases_owner_is_found(
    database: Database, database_url: str, project: Project, statement: str
) -> None:
    digest = await registered(database, project)
    with psycopg.connect(database_url, autocommit=True) as connection:
        assert connection.execute(statement.encode()).rowcount == 1
    with pytest.raises(ReleaseTamperedError):
        await ReleaseCatalog(database).load(DEFAULT_ORG_ID, digest)


@pytest.mark.parametrize("table", ["release", "release_content", "release_file", "environment_change"])
@pytest.mark.parametrize("statement", ["UPDATE {} SET org_id = org_id", "DELETE FROM {}"])
async def test_the_program_cannot_change_a_release(
    database: Database, project: Project, table: str, statement: str
) -> None:
    await registered(database, project)
    with pytest.raises(DatabaseError, match="permission denied"):
        async with database.transaction(DEFAULT_ORG_ID) as connection:
            await connection.execute(statement.format(table))
    with pytest.raises(DatabaseError, match="permission denied"):
        async with database.worker_transaction() as connection:
            await connection.execute(statement.format(table))


async def test_organisations_do_not_see_each_others_releases(
    database: Database, project: Project, other_org: UUID
) -> None:
    digest = await registered(database, project)
    with pytest.raises(NotFoundError):
        await ReleaseCatalog(database).load(other_org, digest)
    async with database.transaction(other_org) as connection:
        for org_id in (other_org, DEFAULT_ORG_ID):
            assert await page_releases(connection, org_id, "hello", after=None, limit=10) == []
        with pytest.raises(NotFoundError):
            await point_environment(connection, other_org, "hello", "prod", digest, actor=ANA)
    assert await registered(database, project, other_org) == digest
    assert (await ReleaseCatalog(database).load(other_org, digest)).digest == digest


async def test_organisation_cannot_write_into_another(database: Database, project: Project, other_org: UUID) -> None:
    with pytest.raises(DatabaseError, match="row-level security"):
        async with database.transaction(other_org) as connection:
            await register(connection, DEFAULT_ORG_ID, project, ANA)


async def test_environment_moves_and_remembers(database: Database, project: Project, other_project: Project) -> None:
    first, second = await registered(database, project), await registered(database, other_project)
    async with database.transaction(DEFAULT_ORG_ID) as connection:
        with pytest.raises(NotFoundError, match="points at no release"):
            await environment_release(connection, DEFAULT_ORG_ID, "hello", "prod")
        versions = [
            await point_environment(connection, DEFAULT_ORG_ID, "hello", "prod", digest, actor=ANA)
            for digest in (first, first, second, first)
        ]
        assert versions == [1, 1, 2, 3]
        assert await environment_release(connection, DEFAULT_ORG_ID, "hello", "prod") == first
        history = await environment_history(connection, DEFAULT_ORG_ID, "hello", "prod")
    assert [(change.version, change.release, change.changed_by) for change in history] == [
        (3, first, ANA),
        (2, second, ANA),
        (1, first, ANA),
    ]


async def test_environment_takes_releases_of_its_own_project_only(database: Database, project: Project) -> None:
    digest = await registered(database, project)
    async with database.transaction(DEFAULT_ORG_ID) as connection:
        with pytest.raises(ConflictError, match="is of project 'hello'"):
            await point_environment(connection, DEFAULT_ORG_ID, "shop", "prod", digest, actor=ANA)
        with pytest.raises(NotFoundError, match="There is no release"):
            await point_environment(connection, DEFAULT_ORG_ID, "hello", "prod", "0" * 64, actor=ANA)


async def test_promotions_at_once_are_numbered_one_after_the_other(
    database: Database, project: Project, other_project: Project
) -> None:
    digests = [await registered(database, chosen) for chosen in (project, other_project)]

    async def promote(digest: str) -> None:
        async with database.transaction(DEFAULT_ORG_ID) as connection:
            await point_environment(connection, DEFAULT_ORG_ID, "hello", "prod", digest, actor=ANA)

    await asyncio.gather(*(promote(digest) for digest in digests * 4))
    async with database.transaction(DEFAULT_ORG_ID) as connection:
        history = await environment_history(connection, DEFAULT_ORG_ID, "hello", "prod")
        current = await environment_release(connection, DEFAULT_ORG_ID, "hello", "prod")
    assert [change.version for change in history] == list(range(len(history), 0, -1))
    assert history[0].release == current
    assert all(one.release != following.release for one, following in itertools.pairwise(history))
