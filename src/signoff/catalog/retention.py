"""What projects want of retention: `retention:` of `signoff.yaml`, as the releases say that are in force."""

from __future__ import annotations

import logging
from collections.abc import Sequence
from functools import reduce
from uuid import UUID

from signoff.catalog import store
from signoff.catalog.releases import ReleaseCatalog
from signoff.core.errors import SignoffError
from signoff.foundation.database import Database
from signoff.runtime.retention import KEEP_FOREVER, ProjectRetention, RetentionPolicy

_log = logging.getLogger(__name__)


async def retention_policies(database: Database, releases: ReleaseCatalog) -> Sequence[ProjectRetention]:
    """What each project wants, over all environments that it is in.

    A run does not say which environment it was started in, so the longest time of a project's environments holds for
    all of them.
    """
    async with database.worker_connection() as connection:
        rows = await store.select_in_force(connection)
    found: dict[tuple[UUID, str], list[RetentionPolicy]] = {}
    digests: dict[tuple[UUID, str], tuple[str, ...]] = {}
    for org_id, project, release, all_releases in rows:
        try:
            policy = (await releases.load(org_id, release)).project.retention
        except SignoffError as error:
            # What cannot be read removes nothing, and holds up nobody else's.
            _log.warning("retention leaves project %s alone: %s", project, error)
            policy = KEEP_FOREVER
        found.setdefault((org_id, project), []).append(policy)
        digests[org_id, project] = tuple(all_releases)
    wanted: list[ProjectRetention] = []
    for (org_id, project), policies in found.items():
        policy = reduce(_longer, policies)
        wanted.append(ProjectRetention(org_id, project, digests[org_id, project], policy))
    return wanted


def _longer(one: RetentionPolicy, other: RetentionPolicy) -> RetentionPolicy:
    def longest(first: float | None, second: float | None) -> float | None:
        return None if first is None or second is None else max(first, second)

    return RetentionPolicy(
        longest(one.done_s, other.done_s),
        longest(one.failed_s, other.failed_s),
        longest(one.cancelled_s, other.cancelled_s),
        one.archive or other.archive,
    )
