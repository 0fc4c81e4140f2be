"""What the step handlers of one worker share."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from signoff.capabilities.gateway import Gateway
from signoff.capabilities.tools import ToolRunner
from signoff.catalog import Project, Release
from signoff.catalog.authority import Authority, PolicyBook
from signoff.catalog.releases import ReleaseCatalog
from signoff.core.clock import Clock
from signoff.core.errors import NotFoundError, StepError
from signoff.foundation.database import Database
from signoff.governance.policy import Decision, PolicyRequest
from signoff.runtime.handlers import StepCall


@dataclass(frozen=True, slots=True)
class Services:
    """The capabilities, and how policy is asked.

    Attributes:
        variables: the process's environment, for deployments' own values of a project's settings.
    """

    database: Database
    releases: ReleaseCatalog
    policies: PolicyBook
    gateway: Gateway
    tools: ToolRunner
    clock: Clock
    variables: Mapping[str, str]

    @property
    def environment(self) -> str:
        """Which environment this worker serves, such as `dev` or `prod`."""
        return self.policies.environment

    async def authority(self, call: StepCall) -> Authority:
        """Who decides for this run: its pinned policies and today's.

        Raises:
            StepError: nothing is deployed in this environment any more, so nothing is permitted.
        """
        try:
            return await self.policies.authority(call.run.org_id, release_of(call))
        except NotFoundError as error:
            raise StepError(error.detail, kind="forbidden") from error


def release_of(call: StepCall) -> Release:
    """The release that the run pinned."""
    release = call.release
    assert isinstance(release, Release)
    return release


def project_of(call: StepCall) -> Project:
    """The project of the release that the run pinned."""
    return release_of(call).project


def decided(call: StepCall, authority: Authority, request: PolicyRequest) -> Decision:
    """Ask, and journal the answer."""
    decision = authority.decide(request)
    call.record("policy.decision", {"action": request.action, **decision.as_dict()})
    return decision


def required(call: StepCall, authority: Authority, request: PolicyRequest) -> None:
    """Ask, journal the answer, and go on only where it permits.

    Raises:
        StepError: kind `forbidden`, naming the policies.
    """
    decision = decided(call, authority, request)
    if not decision.permit or decision.obligations:
        reason = "; ".join(decision.errors) or ", ".join(decision.policies) or "no policy permits it"
        duties = ", ".join(f"@{duty.kind}" for duty in decision.obligations)
        detail = f"Denied: {decision.about} ({reason})" + (f"; it demands {duties}" if duties else "")
        raise StepError(detail, kind="forbidden")
