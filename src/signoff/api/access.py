"""May this actor see or steer that run? Asked of the release that the run pinned and of today's, and both must say yes.

Called outside transactions: reading policies may take a connection of its own, and what is decided about (whose run, of
which release) never changes.
"""

from __future__ import annotations

from dataclasses import dataclass
from uuid import UUID

from signoff.capabilities.reviews import ReviewSummary
from signoff.catalog import Project, ReleaseCatalog
from signoff.catalog.authority import Authority, PolicyBook
from signoff.core.actors import Actor
from signoff.core.errors import DefinitionError, ForbiddenError, NotFoundError
from signoff.governance.policy import PolicyRequest, review_read_request, run_request
from signoff.governance.policy.requests import artifact_request
from signoff.runtime.artifacts import ArtifactUse
from signoff.runtime.client import RunSummary
from signoff.workflows.model import Risk


@dataclass(frozen=True, slots=True)
class Jurisdiction:
    """Who decides about what belongs to one release, and what that release holds."""

    authority: Authority
    project: Project

    def risk(self, workflow: str) -> Risk:
        """The risk class of one of the release's workflows.

        Raises:
            ForbiddenError: the release has no such workflow, so nothing about it can be decided.
        """
        found = self.project.workflows.get(workflow)
        if found is None:
            raise ForbiddenError(f"Denied: the release has no workflow '{workflow}' to decide about.")
        return found.risk


class Access:
    """Decides about runs and reviews, by the policies in the database."""

    def __init__(self, releases: ReleaseCatalog, policies: PolicyBook) -> None:
        self._releases = releases
        self._policies = policies

    async def jurisdiction(self, org_id: UUID, release: str) -> Jurisdiction:
        """The policies that decide about runs of a release.

        Raises:
            ForbiddenError: they cannot be read, or nothing is deployed: what cannot be decided is denied.
        """
        try:
            loaded = await self._releases.load(org_id, release)
            return Jurisdiction(await self._policies.authority(org_id, loaded), loaded.project)
        except (NotFoundError, DefinitionError) as error:
            raise ForbiddenError(f"Denied: no policies can be read for it. {error.detail}") from error

    async def require_run(
        self,
        actor: Actor,
        action: str,
        run: RunSummary,
        *,
        signal: tuple[str, str] | None = None,
        step: str | None = None,
    ) -> None:
        """Return only where the actor may do that to the run.

        `signal` is the step and kind of what it sends; `step` what it skips.

        Raises:
            ForbiddenError: not so.
        """
        jurisdiction = await self.jurisdiction(actor.org_id, run.release)
        request = self._of_run(jurisdiction, actor, action, run, signal=signal, step=step)
        jurisdiction.authority.decide(request).require()

    async def require_artifact(self, actor: Actor, run: RunSummary, use: ArtifactUse) -> None:
        """Return only where the actor may read that artifact of the run.

        Raises:
            ForbiddenError: not so.
        """
        jurisdiction = await self.jurisdiction(actor.org_id, run.release)
        asked = self._of_run(jurisdiction, actor, "artifact.read", run)
        request = artifact_request(asked, digest=use.digest, data_class=use.data_class, media_type=use.media_type)
        jurisdiction.authority.decide(request).require()

    def _of_run(
        self,
        jurisdiction: Jurisdiction,
        actor: Actor,
        action: str,
        run: RunSummary,
        *,
        signal: tuple[str, str] | None = None,
        step: str | None = None,
    ) -> PolicyRequest:
        return run_request(
            actor,
            action,
            run_id=str(run.run_id),
            workflow=run.workflow,
            version=run.version,
            risk=jurisdiction.risk(run.workflow),
            started_by=run.started_by,
            signal=signal,
            step=step,
            environment=self._policies.environment,
        )

    async def may_read_run(self, actor: Actor, run: RunSummary) -> bool:
        """Whether a list shows the run."""
        try:
            await self.require_run(actor, "run.read", run)
        except ForbiddenError:
            return False
        return True

    async def require_review_read(self, actor: Actor, review: ReviewSummary) -> None:
        """Return only where the actor may read what the review shows.

        Raises:
            ForbiddenError: not so.
        """
        jurisdiction = await self.jurisdiction(actor.org_id, review.release)
        request = review_read_request(
            actor,
            workflow=review.workflow,
            version=review.workflow_version,
            risk=review.risk,
            step=review.path,
            assigned_roles={review.role, *review.escalate_to},
            started_by=review.started_by,
            environment=self._policies.environment,
        )
        jurisdiction.authority.decide(request).require()

    async def may_read_review(self, actor: Actor, review: ReviewSummary) -> bool:
        """Whether a list shows the review."""
        try:
            await self.require_review_read(actor, review)
        except ForbiddenError:
            return False
        return True
