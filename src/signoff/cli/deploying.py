"""What `signoff dev` keeps of a project as it is: a snapshot, behind which nobody stands yet."""

from __future__ import annotations

from signoff.catalog import Project, Release, point_environment, register
from signoff.cli.operators import OPERATOR
from signoff.core.clock import Clock
from signoff.foundation.database import DEFAULT_ORG_ID, Database
from signoff.steps import prepare_release


async def keep_snapshot(
    database: Database, project: Project, *, environment: str, clock: Clock, models_profile: str | None
) -> str:
    """Keep the project as it is, build its indexes, then point the environment at it. Gives the digest.

    Nothing is published: prompt versions stay free, so that a prompt can be written without a new one for every try.

    Raises:
        StepError: an index cannot be built; the environment still points where it did.
    """
    async with database.transaction(DEFAULT_ORG_ID) as connection:
        digest = await register(connection, DEFAULT_ORG_ID, project, OPERATOR)
    await prepare_release(
        database, DEFAULT_ORG_ID, Release(digest, project), clock=clock, models_profile=models_profile
    )
    async with database.transaction(DEFAULT_ORG_ID) as connection:
        await point_environment(connection, DEFAULT_ORG_ID, project.name, environment, digest, actor=OPERATOR)
    return digest
