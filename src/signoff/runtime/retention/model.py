"""How long finished runs are kept, and where they go then."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from datetime import datetime
from pathlib import Path
from uuid import UUID

from signoff.core.values import value


@value
class RetentionPolicy:
    """`retention:` of a project. A time that is none keeps runs of that status for ever.

    Attributes:
        done_s: how long done runs are kept after their end, in seconds.
        failed_s: failed ones.
        cancelled_s: cancelled and terminated ones.
        archive: the directory that they are written to before they are dropped, below that of the installation; none
            drops them without.
    """

    done_s: float | None = None
    failed_s: float | None = None
    cancelled_s: float | None = None
    archive: Path | None = None

    def by_status(self) -> Iterator[tuple[str, float]]:
        """The statuses whose runs leave, and after how many seconds."""
        of = (("done", self.done_s), ("failed", self.failed_s))
        for status, kept_s in (*of, ("cancelled", self.cancelled_s), ("terminated", self.cancelled_s)):
            if kept_s is not None:
                yield status, kept_s


KEEP_FOREVER = RetentionPolicy()
"""What holds for a project that says nothing: evidence is not removed because nobody thought of it."""


@value
class ProjectRetention:
    """What one project wants, by the release that is in force today.

    Attributes:
        releases: all releases of the project, so that the policy of today also holds for runs of earlier ones.
    """

    org_id: UUID
    project: str
    releases: tuple[str, ...]
    policy: RetentionPolicy


@value
class Batch:
    """Runs that leave together.

    Attributes:
        project: whose runs; none in batches of earlier versions.
        archive: as the project names it, below the installation's directory of archives.
        failures: how often it was tried in vain.
    """

    org_id: UUID
    project: str | None
    batch_id: UUID
    status: str
    run_ids: tuple[UUID, ...]
    ended_before: datetime
    archive: Path | None
    failures: int = 0


@value
class Trouble:
    """A batch that cannot be finished for now. Nothing of it was dropped.

    Attributes:
        detail: why.
        retry_at: when it is tried again.
    """

    org_id: UUID
    project: str | None
    batch_id: UUID
    detail: str
    retry_at: datetime


@value
class Due:
    """Runs of one project and status whose time is over."""

    project: str
    status: str
    runs: int
    ended_before: datetime
    archive: Path | None


@dataclass(slots=True)
class RetentionReport:
    """What one pass did, or with a dry run what it would do.

    Attributes:
        due: per project and status, counted up to 10,000.
        archived_runs: written to archives in this pass.
        dropped_runs: no longer in the database.
        dropped_months: partitions of the journal that were over and empty.
        made_months: partitions that were made ahead.
        troubles: batches that could not be finished; those of other projects went on.
        leader: false where another process is at it; nothing was done then.
    """

    due: list[Due] = field(default_factory=list[Due])
    archived_runs: int = 0
    dropped_runs: int = 0
    dropped_months: list[str] = field(default_factory=list[str])
    made_months: list[str] = field(default_factory=list[str])
    troubles: list[Trouble] = field(default_factory=list[Trouble])
    leader: bool = True
