"""Which policies decide: the run's pinned ones and today's together, so that revoked rights outlive no parked run."""

from __future__ import annotations

import asyncio
from collections import OrderedDict
from collections.abc import Mapping, Sequence
from uuid import UUID

from signoff.catalog.model import Project, Release
from signoff.catalog.releases import ReleaseCatalog, environment_release, environment_releases
from signoff.core.clock import Clock
from signoff.core.errors import NotFoundError
from signoff.foundation.database import Database
from signoff.foundation.database.failures import SHARED_ANSWER_S, answered_within
from signoff.governance.policy import Decision, PolicyRequest, PolicySet
from signoff.governance.policy.tool_questions import ToolQuestion

DEFAULT_FRESH_S = 2.0
"""For how long an environment's release is taken as today's without asking again, in seconds."""

RENEWED_AT = 0.5
"""The share of that time after which it is asked for again while it is still taken as known."""

RENEWAL = "today's release"
"""The name of the task that asks."""

MAX_POLICY_SETS = 64
"""How many releases' prepared policies are kept."""


class Authority:
    """The policy sets that must all permit; asked in one call."""

    def __init__(self, sets: tuple[PolicySet, ...]) -> None:
        self._sets = sets

    def decide(self, request: PolicyRequest) -> Decision:
        """The joint answer: permitted where every set permits, with the obligations of all; else the first refusal."""
        if len(self._sets) == 1:
            return self._sets[0].decide(request)
        return _joint([policies.decide(request) for policies in self._sets])

    def decide_call(self, question: ToolQuestion) -> Decision:
        """The same of a call of a tool."""
        if len(self._sets) == 1:
            return self._sets[0].decide_call(question)
        return _joint([policies.decide_call(question) for policies in self._sets])


def _joint(decisions: Sequence[Decision]) -> Decision:
    for decision in decisions:
        if not decision.permit:
            return decision
    first = decisions[0]
    # Both sets decided, so both are named: the pinned digest, then today's.
    digests = dict.fromkeys(decision.policy_digest for decision in decisions)
    return Decision(
        permit=True,
        policies=tuple(dict.fromkeys(name for decision in decisions for name in decision.policies)),
        obligations=tuple(sorted({duty for decision in decisions for duty in decision.obligations})),
        policy_digest="+".join(digests),
        about=first.about,
    )


class PolicyBook:
    """Finds the authority for a run. One per process.

    Args:
        database: where environments are.
        releases: where releases are.
        clock: the injected clock.
        environment: whose current release counts as today's.
        fresh_s: for how long it is taken as known, in seconds.
        answer_s: how long a question that many wait for may take, in seconds.
    """

    def __init__(
        self,
        database: Database,
        releases: ReleaseCatalog,
        *,
        clock: Clock,
        environment: str,
        fresh_s: float = DEFAULT_FRESH_S,
        answer_s: float = SHARED_ANSWER_S,
    ) -> None:
        self._database = database
        self._releases = releases
        self._clock = clock
        self.environment = environment
        self._fresh_s = fresh_s
        self._answer_s = answer_s
        self._sets: OrderedDict[str, PolicySet] = OrderedDict()
        self._authorities: OrderedDict[tuple[str, str], Authority] = OrderedDict()
        self._current: dict[tuple[UUID, str], tuple[float, str]] = {}
        self._at_hand: dict[tuple[UUID, str], tuple[float, Authority]] = {}
        self._deployed: dict[UUID, tuple[float, Mapping[str, str]]] = {}
        self._asking: dict[tuple[UUID, str], tuple[float, asyncio.Task[str]]] = {}

    async def authority(self, org_id: UUID, release: Release, *, today: str | None = None) -> Authority:
        """The policies of a release and of what its environment points at now.

        Args:
            org_id: the organisation.
            release: what the run pinned.
            today: the digest that the environment points at, where the caller has just read it.

        Raises:
            NotFoundError: the environment points at no release: nothing is permitted where nothing is deployed.
        """
        known = self.known_authority(org_id, release, today=today)
        if known is not None:
            return known
        today = today or await self._today(org_id, release.project.name)
        return self._of(release, today, (await self._releases.load(org_id, today)).project)

    def known_authority(self, org_id: UUID, release: Release, *, today: str | None = None) -> Authority | None:
        """The same where nothing need be asked: what most steps find."""
        if today is None:
            at_hand = self._at_hand.get((org_id, release.digest))
            if at_hand is not None and self._clock.monotonic_s() < at_hand[0]:
                return at_hand[1]
            known = self._found(org_id, release)
            if known is not None:
                renewed_s = self._current[org_id, release.project.name][0] + self._fresh_s * RENEWED_AT
                self._at_hand[org_id, release.digest] = renewed_s, known
                if len(self._at_hand) > MAX_POLICY_SETS:
                    del self._at_hand[next(iter(self._at_hand))]
            return known
        return self._found(org_id, release, today)

    def _found(self, org_id: UUID, release: Release, today: str | None = None) -> Authority | None:
        today = today or self._known_today(org_id, release.project.name)
        if today is None:
            return None
        known = self._authorities.get((release.digest, today))
        if known is None and today == release.digest:
            known = self._of(release, today, release.project)
        return known

    def _of(self, release: Release, today: str, current: Project) -> Authority:
        pinned = self._prepared(release.digest, release.project)
        sets = (pinned,) if today == release.digest else (pinned, self._prepared(today, current))
        known = self._authorities[release.digest, today] = Authority(sets)
        while len(self._authorities) > MAX_POLICY_SETS:
            self._authorities.popitem(last=False)
        return known

    async def deployed(self, org_id: UUID) -> Mapping[str, str]:
        """What this environment points at now in each project: release digests by project."""
        now_s = self._clock.monotonic_s()
        known = self._deployed.get(org_id)
        if known is not None and now_s - known[0] < self._fresh_s:
            return known[1]
        async with self._database.transaction(org_id) as connection:
            found = await environment_releases(connection, org_id, self.environment)
        self._deployed[org_id] = (now_s, found)
        return found

    def _known_today(self, org_id: UUID, project: str) -> str | None:
        """What is known and fresh. It is asked for again before it is too old, so that no run waits for the answer."""
        key, now_s = (org_id, project), self._clock.monotonic_s()
        known = self._current.get(key)
        if known is None or now_s - known[0] >= self._fresh_s:
            return None
        if now_s - known[0] >= self._fresh_s * RENEWED_AT and key not in self._asking:
            renewal = asyncio.create_task(self._ask(key, now_s), name=RENEWAL)
            renewal.add_done_callback(_seen)
            self._asking[key] = (now_s, renewal)
        return known[1]

    async def _today(self, org_id: UUID, project: str) -> str:
        key, now_s = (org_id, project), self._clock.monotonic_s()
        known = self._current.get(key)
        if known is not None and now_s - known[0] < self._fresh_s:
            return known[1]
        asking = self._asking.get(key)
        if asking is None or now_s - asking[0] >= self._fresh_s:
            # One question for all that want to know: every run in memory finds at the same moment that it is time.
            asking = self._asking[key] = (now_s, asyncio.create_task(self._ask(key, now_s)))
        return await asyncio.shield(asking[1])

    async def _ask(self, key: tuple[UUID, str], now_s: float) -> str:
        org_id, project = key
        try:
            async with answered_within(self._answer_s), self._database.transaction(org_id) as connection:
                digest = await environment_release(connection, org_id, project, self.environment)
            self._current[key] = (now_s, digest)
            return digest
        finally:
            if key in self._asking and self._asking[key][0] == now_s:
                del self._asking[key]

    def _prepared(self, digest: str, project: Project) -> PolicySet:
        found = self._sets.get(digest)
        if found is None:
            found = self._sets[digest] = PolicySet.parse(project.policies)
            while len(self._sets) > MAX_POLICY_SETS:
                self._sets.popitem(last=False)
        return found


def _seen(task: asyncio.Task[str]) -> None:
    """Nobody may have waited: what went wrong is found again by whoever asks once it is too old."""
    if not task.cancelled():
        task.exception()


async def current_release(
    database: Database, releases: ReleaseCatalog, org_id: UUID, project: str, environment: str
) -> Release:
    """What an environment of a project points at.

    Raises:
        NotFoundError: nothing is deployed there.
    """
    async with database.transaction(org_id) as connection:
        digest = await environment_release(connection, org_id, project, environment)
    release = await releases.load(org_id, digest)
    if release.project.name != project:
        raise NotFoundError(f"Environment '{environment}' points at a release of '{release.project.name}'.")
    return release
