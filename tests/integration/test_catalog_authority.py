"""Today's policies: asked for once however many want to know, and for nobody longer ago than their time."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any, cast
from uuid import UUID

import pytest
from support.proxy import once_back, proxied

from signoff.catalog.authority import RENEWAL, PolicyBook
from signoff.catalog.model import Release
from signoff.catalog.projects import load_project_files
from signoff.catalog.releases import ReleaseCatalog, point_environment, register
from signoff.core.actors import Actor
from signoff.core.clock import SystemClock
from signoff.core.errors import NotFoundError, UnavailableError
from signoff.foundation.database import DEFAULT_ORG_ID, Connection, Database
from signoff.foundation.settings import DatabaseSettings

ACTOR = Actor(DEFAULT_ORG_ID, "user", "ana", frozenset({"admin"}))
PROJECT = load_project_files({"signoff.yaml": b"project: asked\n"})


class Counting:
    """A database that says how often it was asked."""

    def __init__(self, database: Database) -> None:
        self._database = database
        self.asked = 0

    @asynccontextmanager
    async def transaction(self, org_id: UUID) -> AsyncGenerator[Connection]:
        self.asked += 1
        async with self._database.transaction(org_id) as connection:
            yield connection


async def booked(database: Database, *, fresh_s: float) -> tuple[PolicyBook, Counting, Release]:
    async with database.transaction(DEFAULT_ORG_ID) as connection:
        digest = await register(connection, DEFAULT_ORG_ID, PROJECT, ACTOR)
    counting = Counting(database)
    book = PolicyBook(
        cast("Any", counting), ReleaseCatalog(database), clock=SystemClock(), environment="dev", fresh_s=fresh_s
    )
    return book, counting, Release(digest, PROJECT)


async def test_all_that_ask_at_once_are_answered_by_one_question(database: Database) -> None:
    book, counting, release = await booked(database, fresh_s=60.0)
    with pytest.raises(NotFoundError):
        await book.authority(DEFAULT_ORG_ID, release)
    async with database.transaction(DEFAULT_ORG_ID) as connection:
        await point_environment(connection, DEFAULT_ORG_ID, PROJECT.name, "dev", release.digest, actor=ACTOR)
    counting.asked = 0
    asking = [asyncio.create_task(book.authority(DEFAULT_ORG_ID, release)) for _ in range(50)]
    await asyncio.sleep(0)
    asking[0].cancel()  # whoever asked first goes away
    answers = await asyncio.gather(*asking, return_exceptions=True)
    assert isinstance(answers[0], asyncio.CancelledError)
    assert not any(isinstance(answer, BaseException) for answer in answers[1:])
    assert counting.asked == 1


async def test_a_question_from_before_its_time_answers_nobody_later(database: Database) -> None:
    book, counting, release = await booked(database, fresh_s=0.0)
    async with database.transaction(DEFAULT_ORG_ID) as connection:
        await point_environment(connection, DEFAULT_ORG_ID, PROJECT.name, "dev", release.digest, actor=ACTOR)
    await asyncio.gather(*(book.authority(DEFAULT_ORG_ID, release) for _ in range(3)))
    assert counting.asked == 3


class Stepped(SystemClock):
    """A clock that goes on when it is told to."""

    seconds = 0.0

    def monotonic_s(self) -> float:
        return self.seconds


async def test_it_is_asked_again_before_it_is_too_old(database: Database) -> None:
    """Every run of a worker waited for the answer at the same moment, every two seconds."""
    _, counting, release = await booked(database, fresh_s=60.0)
    async with database.transaction(DEFAULT_ORG_ID) as connection:
        await point_environment(connection, DEFAULT_ORG_ID, PROJECT.name, "dev", release.digest, actor=ACTOR)
    clock = Stepped()
    book = PolicyBook(cast("Any", counting), ReleaseCatalog(database), clock=clock, environment="dev", fresh_s=60.0)
    assert book.known_authority(DEFAULT_ORG_ID, release) is None
    await book.authority(DEFAULT_ORG_ID, release)
    clock.seconds = 40.0
    assert book.known_authority(DEFAULT_ORG_ID, release) is not None
    await asyncio.gather(*(task for task in asyncio.all_tasks() if task.get_name() == RENEWAL))
    clock.seconds = 69.0  # what was known first is too old by now
    assert book.known_authority(DEFAULT_ORG_ID, release) is not None
    assert counting.asked == 2
    clock.seconds = 200.0
    assert book.known_authority(DEFAULT_ORG_ID, release) is None


async def test_questions_without_an_answer_give_their_connections_back(
    database: Database, database_url: str, tmp_path: Path
) -> None:
    _, _, release = await booked(database, fresh_s=60.0)
    async with database.transaction(DEFAULT_ORG_ID) as connection:
        await point_environment(connection, DEFAULT_ORG_ID, PROJECT.name, "dev", release.digest, actor=ACTOR)
    settings = {"connect_timeout_s": 2.0, "recovery_wait_s": 0.1, "app_pool_size": 1}
    async with (
        proxied(database_url, tmp_path) as (proxy, url),
        await Database.open(DatabaseSettings.model_validate({"url": url, **settings})) as behind,
    ):
        catalog = ReleaseCatalog(behind)
        book = PolicyBook(behind, catalog, clock=SystemClock(), environment="dev", fresh_s=0.0, answer_s=0.3)
        proxy.hold()
        with pytest.raises(UnavailableError):
            await asyncio.wait_for(book.authority(DEFAULT_ORG_ID, release), 20)
        proxy.release()
        await once_back(lambda: book.authority(DEFAULT_ORG_ID, release))
