"""What the step handlers of one worker share."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import dataclass, field
from uuid import UUID
from weakref import WeakValueDictionary

from signoff.capabilities.gateway import Budget, Gateway
from signoff.capabilities.tools import ToolRunner
from signoff.capabilities.validation.filters import Filter
from signoff.catalog import Project, Release
from signoff.catalog.authority import Authority, PolicyBook
from signoff.catalog.releases import ReleaseCatalog
from signoff.core.clock import Clock
from signoff.core.errors import NotFoundError, StepError
from signoff.core.money import Cost
from signoff.foundation.database import Database
from signoff.governance.policy import Decision, PolicyRequest
from signoff.governance.privacy.vault import Vault, Vaults
from signoff.runtime.handlers import DECISION, StepCall


class RunBudgets:
    """One budget per run, shared by its steps that are under way, so that they cannot overspend side by side."""

    def __init__(self) -> None:
        self._budgets: WeakValueDictionary[UUID, Budget] = WeakValueDictionary()

    def of(self, call: StepCall) -> Budget | None:
        """What the call's run may still spend; none where it has no limit."""
        limit = call.run.cost_limit
        if limit is None:
            return None
        budget = self._budgets.get(call.run.run_id)
        if budget is None:
            budget = self._budgets[call.run.run_id] = Budget(limit, Cost(call.spent.cost.micro_usd))
        return budget


@dataclass(frozen=True, slots=True)
class Services:
    """The capabilities, and how policy is asked.

    Attributes:
        variables: the process's environment, for deployments' own values of a project's settings.
        budgets: what runs may still spend on models, whatever their steps call them for.
        filters: on outgoing text, by name; those that are installed where none are given.
        vaults: what runs hide from models, and from all that no policy lets see it.
    """

    database: Database
    releases: ReleaseCatalog
    policies: PolicyBook
    gateway: Gateway
    tools: ToolRunner
    clock: Clock
    variables: Mapping[str, str]
    budgets: RunBudgets = field(default_factory=RunBudgets)
    filters: Mapping[str, Filter] | None = None
    vaults: Vaults = field(default_factory=Vaults)

    def vault_of(self, call: StepCall) -> Vault:
        """Where the call's run keeps what tokens stand for."""
        return self.vaults.of(self.database, call.run.org_id, call.run.run_id, call.run.chain_id)

    @property
    def environment(self) -> str:
        """Which environment this worker serves, such as `dev` or `prod`."""
        return self.policies.environment

    def known_authority(self, call: StepCall) -> Authority | None:
        """The same where nothing need be asked for it."""
        return self.policies.known_authority(call.run.org_id, release_of(call))

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
    call.record(DECISION, decision.told(request.action))
    return decision


def required(call: StepCall, authority: Authority, request: PolicyRequest, fulfils: Collection[str] = ()) -> Decision:
    """Ask, journal the answer, and go on only where it permits, on terms that are kept.

    Raises:
        StepError: kind `forbidden`, naming the policies.
    """
    return permitted(decided(call, authority, request), fulfils)


def permitted(decision: Decision, fulfils: Collection[str] = ()) -> Decision:
    """The same decision where it permits, on terms that are kept.

    Raises:
        StepError: kind `forbidden`, naming the policies.
    """
    duties = decision.obligations
    unmet = [duty for duty in duties if duty.kind not in fulfils] if duties else ()
    if not decision.permit or unmet:
        reason = "; ".join(decision.errors) or ", ".join(decision.policies) or "no policy permits it"
        wanted = ", ".join(f"@{duty.kind}" for duty in unmet)
        detail = f"Denied: {decision.about} ({reason})" + (f"; it demands {wanted}" if wanted else "")
        raise StepError(detail, kind="forbidden")
    return decision
