"""Steps that ask models within the project's limits: on whose account, and what becomes of a step without room."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Iterable
from contextlib import AbstractAsyncContextManager, nullcontext
from datetime import timedelta
from typing import Any

from signoff.capabilities.gateway import GatewayError
from signoff.capabilities.gateway.asking import Asked, Caller
from signoff.core.errors import StepError
from signoff.core.labels import Trust
from signoff.runtime.handlers import Done, Message, StepCall, Waiting
from signoff.steps.acting import ActingStep
from signoff.steps.services import Services, project_of

LIMIT = "limit"
"""The kind of wait of a step that a limit leaves no room."""
DECISION = "limit.decision"
"""The kind of the message by which a person says whether it may go beyond the limit."""
DECISIONS = ("allow", "refuse")


class LimitedStep(ActingStep, ABC):
    """A step that asks models. Where a limit has no room it waits for some (`park`), or for a person (`ask`)."""

    @abstractmethod
    async def act(self, call: StepCall, *, over_limit: bool) -> Done:
        """One try.

        Args:
            call: the step.
            over_limit: a person let it go beyond the limits that ask.

        Raises:
            StepError: it failed; a `GatewayError` with `at_limit` may become a wait.
        """

    def turn(self, call: StepCall) -> AbstractAsyncContextManager[None]:  # noqa: ARG002  (the protocol has it)
        """What it waits for before it begins."""
        return nullcontext()

    async def execute(self, call: StepCall) -> Done | Waiting:
        """Act, or wait for room."""
        return await self._acted(call, over_limit=False)

    async def resume(self, call: StepCall, waiting: Waiting, message: Message | None) -> Done | Waiting:
        """There may be room again, or a person has decided. Anything else that is sent to it is passed over.

        Raises:
            StepError: the person refused: of the limit's kind.
        """
        decision = None if message is None or message.kind != DECISION else message.data.get("decision")
        if message is not None and decision not in DECISIONS:
            return waiting
        if decision == "refuse":
            assert message is not None
            raise StepError(f"{message.sent_by} refused: {waiting.about}", kind=str(waiting.state["kind"]))
        async with self.turn(call):
            return await self._acted(call, over_limit=decision == "allow")

    async def _acted(self, call: StepCall, *, over_limit: bool) -> Done | Waiting:
        try:
            return await self.act(call, over_limit=over_limit)
        except GatewayError as error:
            waiting = _waits(call, error)
            if waiting is None:
                raise
            return waiting


def _waits(call: StepCall, error: GatewayError) -> Waiting | None:
    """The wait that the limit declares; none where the step fails."""
    state: dict[str, Any] = {"kind": error.kind, "at_limit": error.at_limit}
    if error.at_limit == "park" and error.retry_after_s is not None:
        until = call.clock.now() + timedelta(seconds=error.retry_after_s)
        return Waiting(LIMIT, until, state, f"a limit has room again: {error.detail}")
    if error.at_limit == "ask":
        told = f"somebody decides whether it may go beyond its limit ({DECISION}: {' or '.join(DECISIONS)})"
        return Waiting(LIMIT, None, state, f"{told}: {error.detail}")
    return None


def asked_of(call: StepCall, services: Services, *, task: str, prompt: str = "", over_limit: bool = False) -> Asked:
    """On whose account a step asks a model: its workflow's owner, or else the team that the run was started for."""
    project = project_of(call)
    workflow = project.workflows.get(call.run.workflow)
    owner = "" if workflow is None else workflow.owner.removeprefix("team/")
    return Asked(
        caller=Caller(
            org_id=call.run.org_id,
            project=project.name,
            environment=services.environment,
            release=call.run.release,
            principal=str(call.run.started_by),
            team=owner or call.run.team,
            workflow=call.run.workflow,
            run_id=call.run.run_id,
            step=call.path,
        ),
        task=task,
        ceilings=call.run.ceilings,
        prompt=prompt,
        data_labels=call.labels,
        risk=call.run.risk,
        over_limit=over_limit,
        vault=services.vault_of(call),
    )


def untrusted_of(call: StepCall, names: Iterable[str]) -> frozenset[str]:
    """Which of a step's values nobody vouches for, by their own labels where they have some."""
    own = call.argument_labels
    return frozenset(name for name in names if own.get(name, call.labels).trust is Trust.UNTRUSTED)
