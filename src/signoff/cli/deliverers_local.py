"""Delivery on the database, by its operator: policy is not asked, everything else is as through the API."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Mapping
from pathlib import Path
from typing import Any, TypeVar

from signoff.api.views import (
    environment_out,
    label_out,
    made_out,
    move_out,
    moved_out,
    prompt_out,
    release_out,
    score_out,
)
from signoff.capabilities.gateway.pricing import estimated_price
from signoff.catalog import Project, Release, ReleaseCatalog
from signoff.catalog.delivery.environments import (
    move_environment,
    read_environment,
    require_environment,
    rollback_target,
)
from signoff.catalog.delivery.listing import delete_release, find_release, is_published, page_releases, release_use
from signoff.catalog.delivery.publishing import make_plan, publish, require_sound
from signoff.catalog.delivery.quality import require_quality, shortfalls_of
from signoff.catalog.labels.beside import beside
from signoff.catalog.labels.moving import label_history, list_labels, move_label, read_label
from signoff.catalog.registry.scores import Measurement, add_score
from signoff.catalog.registry.versions import (
    list_prompts,
    prompt_history,
    released_version,
    version_source,
    versioning_of,
)
from signoff.catalog.releases import environment_history
from signoff.cli.delivery_protocol import Found
from signoff.cli.operators import OPERATOR
from signoff.cli.workspace import settings_of
from signoff.core.clock import SystemClock
from signoff.foundation.database import DEFAULT_ORG_ID, Connection, Database, open_database
from signoff.steps import prepare_release

Answer = TypeVar("Answer")


class OnDatabase:
    """As whoever may open the database."""

    def __init__(self, project: Path | None, models: str | None) -> None:
        self._settings = settings_of(project)
        self._models = models
        self._clock = SystemClock()

    def plan(self, project: str, environment: str, *, files: Project | None, release: str | None) -> Found:
        async def work(database: Database) -> Found:
            new = files or (await self._stored(database, project, release or "")).project
            require_environment(new, environment)
            async with database.transaction(DEFAULT_ORG_ID) as connection:
                current = await read_environment(connection, DEFAULT_ORG_ID, project, environment)
                versioning = await versioning_of(connection, DEFAULT_ORG_ID, new)
                quality = await shortfalls_of(connection, DEFAULT_ORG_ID, new)
            old = None
            if current.release is not None:
                old = (await ReleaseCatalog(database).load(DEFAULT_ORG_ID, current.release)).project
            return (await make_plan(current, old, new, versioning, estimated_price, quality=quality)).as_dict()

        return self._run(work)

    def release(self, project: Project, message: str, *, dry_run: bool) -> Found:
        async def work(database: Database) -> Found:
            require_sound(project)
            if dry_run:
                async with database.transaction(DEFAULT_ORG_ID) as connection:
                    versioning = await versioning_of(connection, DEFAULT_ORG_ID, project)
                    existed = await is_published(connection, DEFAULT_ORG_ID, project.name, project.digest)
                versioning.require()
                return made_out(project, versioning, created=False, existed=existed).model_dump(mode="json")
            await self._indexes(database, project)
            async with database.transaction(DEFAULT_ORG_ID) as connection:
                published = await publish(
                    connection, DEFAULT_ORG_ID, project, actor=OPERATOR, message=message, now=self._clock.now()
                )
            made = made_out(project, published.versioning, created=published.created, existed=not published.created)
            return made.model_dump(mode="json")

        return self._run(work)

    def environment(self, project: str, environment: str) -> Found:
        async def work(connection: Connection) -> Found:
            found = await read_environment(connection, DEFAULT_ORG_ID, project, environment)
            return environment_out(found).model_dump(mode="json")

        return self._within(work)

    def move(
        self,
        operation: str,
        project: str,
        environment: str,
        *,
        release: str | None,
        seen: int,
        reason: str,
        dry_run: bool,
        override_quality: str | None = None,
    ) -> Found:
        async def work(database: Database) -> Found:
            if release is None:
                async with database.transaction(DEFAULT_ORG_ID) as connection:
                    current = await read_environment(connection, DEFAULT_ORG_ID, project, environment)
                    start = await rollback_target(connection, current, DEFAULT_ORG_ID)
            else:
                start = release
            found = await self._stored(database, project, start)
            if operation == "deploy":
                require_environment(found.project, environment)
            if not dry_run:
                await self._indexes(database, found.project)
            async with database.transaction(DEFAULT_ORG_ID) as connection:
                override = None
                if operation == "deploy":
                    override = await _quality(connection, found, environment, override_quality)
                if not dry_run:
                    await self._publish(connection, found, reason)
                moved = await move_environment(
                    connection,
                    DEFAULT_ORG_ID,
                    project,
                    environment,
                    found.digest,
                    actor=OPERATOR,
                    seen=seen,
                    operation="rollback" if operation == "rollback" else "deploy",
                    reason=reason,
                    quality_override=override,
                )
                if dry_run:
                    raise _UndoneError(moved_out(moved).model_dump(mode="json"))
            return moved_out(moved).model_dump(mode="json")

        try:
            return self._run(work)
        except _UndoneError as undone:
            return {**undone.found, "changed": False}

    async def _publish(self, connection: Connection, release: Release, reason: str) -> None:
        detail = await find_release(connection, DEFAULT_ORG_ID, release.project.name, release.digest)
        if detail.published_at is None:
            require_sound(release.project)
            await publish(
                connection, DEFAULT_ORG_ID, release.project, actor=OPERATOR, message=reason, now=self._clock.now()
            )

    def history(self, project: str, environment: str, limit: int) -> list[Found]:
        async def work(connection: Connection) -> list[Found]:
            found = await environment_history(connection, DEFAULT_ORG_ID, project, environment, limit=limit)
            return [move_out(move).model_dump(mode="json") for move in found]

        return self._within(work)

    def releases(self, project: str, limit: int) -> list[Found]:
        async def work(connection: Connection) -> list[Found]:
            found = await page_releases(connection, DEFAULT_ORG_ID, project, after=None, limit=limit)
            return [release_out(detail).model_dump(mode="json") for detail in found]

        return self._within(work)

    def show_release(self, project: str, release: str) -> Found:
        async def work(connection: Connection) -> Found:
            detail = await find_release(connection, DEFAULT_ORG_ID, project, release)
            use = await release_use(connection, DEFAULT_ORG_ID, detail.digest)
            return release_out(detail, use).model_dump(mode="json")

        return self._within(work)

    def delete_release(self, project: str, release: str) -> None:
        async def work(connection: Connection) -> None:
            detail = await find_release(connection, DEFAULT_ORG_ID, project, release)
            await delete_release(connection, DEFAULT_ORG_ID, detail.digest)

        self._within(work)

    def prompts(self, project: str, limit: int) -> list[Found]:
        async def work(connection: Connection) -> list[Found]:
            found = await list_prompts(connection, DEFAULT_ORG_ID, project, limit=limit)
            items: list[Found] = []
            for version in found:
                around = await beside(connection, DEFAULT_ORG_ID, project, version.name, [version.version])
                items.append(prompt_out(version, around[version.version]).model_dump(mode="json"))
            return items

        return self._within(work)

    def prompt_versions(self, project: str, prompt: str, limit: int) -> list[Found]:
        async def work(connection: Connection) -> list[Found]:
            found = await prompt_history(connection, DEFAULT_ORG_ID, project, prompt, limit=limit)
            names = [version.version for version in found]
            around = await beside(connection, DEFAULT_ORG_ID, project, prompt, names)
            return [prompt_out(version, around[version.version]).model_dump(mode="json") for version in found]

        return self._within(work)

    def prompt_source(self, project: str, prompt: str, version: str) -> Found:
        async def work(connection: Connection) -> Found:
            found = await released_version(connection, DEFAULT_ORG_ID, project, prompt, version)
            _, source, _ = await version_source(connection, DEFAULT_ORG_ID, project, prompt, version)
            around = await beside(connection, DEFAULT_ORG_ID, project, prompt, [version])
            return prompt_out(found, around[version], source).model_dump(mode="json")

        return self._within(work)

    def add_score(self, project: str, prompt: str, version: str, score: Mapping[str, Any], key: str | None) -> Found:
        async def work(connection: Connection) -> Found:
            found = await released_version(connection, DEFAULT_ORG_ID, project, prompt, version)
            kept, _ = await add_score(
                connection,
                OPERATOR,
                project=project,
                prompt=prompt,
                version=version,
                measurement=Measurement(**score),
                now=self._clock.now(),
                idempotency_key=key,
            )
            return score_out(found, kept).model_dump(mode="json")

        return self._within(work)

    def labels(self, project: str, prompt: str) -> list[Found]:
        async def work(connection: Connection) -> list[Found]:
            await prompt_history(connection, DEFAULT_ORG_ID, project, prompt, limit=1)
            found = await list_labels(connection, DEFAULT_ORG_ID, project, prompt)
            return [label_out(project, prompt, label).model_dump(mode="json") for label in found]

        return self._within(work)

    def label(self, project: str, prompt: str, label: str) -> Found:
        async def work(connection: Connection) -> Found:
            found = await read_label(connection, DEFAULT_ORG_ID, project, prompt, label)
            return label_out(project, prompt, found).model_dump(mode="json")

        return self._within(work)

    def label_history(self, project: str, prompt: str, label: str, limit: int) -> list[Found]:
        async def work(connection: Connection) -> list[Found]:
            found = await label_history(connection, DEFAULT_ORG_ID, project, prompt, label, limit=limit)
            return [label_out(project, prompt, move).model_dump(mode="json") for move in found]

        return self._within(work)

    def move_label(
        self, project: str, prompt: str, label: str, *, version: str | None, seen: int, reason: str
    ) -> Found:
        async def work(connection: Connection) -> Found:
            moved, _ = await move_label(
                connection,
                OPERATOR,
                project=project,
                prompt=prompt,
                label=label,
                version=version,
                seen=seen,
                reason=reason,
                now=self._clock.now(),
            )
            return label_out(project, prompt, moved).model_dump(mode="json")

        return self._within(work)

    async def _stored(self, database: Database, project: str, start: str) -> Release:
        async with database.transaction(DEFAULT_ORG_ID) as connection:
            detail = await find_release(connection, DEFAULT_ORG_ID, project, start)
        return await ReleaseCatalog(database).load(DEFAULT_ORG_ID, detail.digest)

    async def _indexes(self, database: Database, project: Project) -> None:
        if project.knowledge:
            release = Release(project.digest, project)
            await prepare_release(database, DEFAULT_ORG_ID, release, clock=self._clock, models_profile=self._models)

    def _within(self, work: Callable[[Connection], Awaitable[Answer]]) -> Answer:
        async def in_transaction(database: Database) -> Answer:
            async with database.transaction(DEFAULT_ORG_ID) as connection:
                return await work(connection)

        return self._run(in_transaction)

    def _run(self, work: Callable[[Database], Awaitable[Answer]]) -> Answer:
        async def opened() -> Answer:
            async with open_database(self._settings) as database:
                return await work(database)

        return asyncio.run(opened())


async def _quality(
    connection: Connection, release: Release, environment: str, override: str | None
) -> dict[str, Any] | None:
    """What the history keeps of thresholds that were passed over; nothing where there is nothing to pass over."""
    current = await read_environment(connection, DEFAULT_ORG_ID, release.project.name, environment)
    if current.release == release.digest:
        return None
    shortfalls = await shortfalls_of(connection, DEFAULT_ORG_ID, release.project)
    if override is None:
        require_quality(shortfalls, environment)
    return {"reason": override, "shortfalls": [one.as_dict() for one in shortfalls]} if shortfalls else None


class _UndoneError(Exception):
    """Ends the transaction of a dry run, which is undone with all that it did."""

    def __init__(self, found: Found) -> None:
        super().__init__("a dry run")
        self.found = found
