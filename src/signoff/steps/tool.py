"""The verb `tool`: call a tool by its contract. One with an effect acts once, whatever breaks."""

from __future__ import annotations

from collections.abc import Coroutine, Mapping
from typing import Any

from signoff.capabilities.gateway.revealing import REVEAL
from signoff.capabilities.tools.failures import broken_answer
from signoff.capabilities.tools.model import ToolResult
from signoff.capabilities.tools.runner import always
from signoff.catalog import Project, ToolContract
from signoff.core.errors import StepError
from signoff.governance.policy import PolicyRequest, tool_request
from signoff.runtime.handlers import Done, Effect, Spending, StepCall
from signoff.steps.acting import ActingStep
from signoff.steps.outgoing import require_clean
from signoff.steps.revealing import REVEALED, Revealed, has_tokens, revealed
from signoff.steps.services import Services, project_of, required
from signoff.steps.unproven import require_flow

_FULFILLED = frozenset((REVEAL,))


class ToolStep(ActingStep):
    """Asks policy on the final arguments, then calls."""

    verb = "tool"

    def __init__(self, services: Services) -> None:
        self._services = services

    def effect(self, call: StepCall) -> Effect | None:
        """What the contract says of it: a write is journaled before it is sent."""
        contract = _contract(call)
        if not contract.effect:
            return None
        assert contract.idempotency is not None
        settle_s = self._services.tools.settles_after_s(contract)
        spending = None if contract.quota is None else _spending(contract, _arguments(call))
        return Effect(contract.idempotency.recovery, settle_s, spending)

    def target(self, call: StepCall) -> str:
        """What a circuit breaker counts together: the tool."""
        return f"tool/{call.step.target}"

    async def permit(self, call: StepCall) -> None:
        """Policy's answer to `tool.call`, then what its filters find in the arguments.

        Raises:
            StepError: kind `flow`, `forbidden`, `filtered`, `unreviewed` or `filter_failed`.
        """
        project, given = project_of(call), _arguments(call)
        contract = project.tools[call.step.target]
        require_flow(call, contract)
        authority = self._services.known_authority(call) or await self._services.authority(call)
        decision = required(call, authority, self._request(call, contract), fulfils=_FULFILLED)
        if has_tokens(given):
            shown = await revealed(call, given, decision, self._services)
            if shown.kinds:
                call.record(REVEALED, {"tool": contract.name, "kinds": list(shown.kinds)})
        uses = project.outgoing.of_tool(contract)
        if uses:
            what = f"What '{contract.name}' would get"
            await require_clean(call, uses, given, what=what, services=self._services)

    async def execute(self, call: StepCall) -> Done:
        """The tool's answer, which meets its contract."""
        project, given = project_of(call), _arguments(call)
        contract = project.tools[call.step.target]
        if not has_tokens(given):
            return _done(contract, (await self._called(call, project, contract, given)).output)
        shown = await self._shown(call, contract)
        async with shown.told():
            result = await self._called(call, project, contract, shown.arguments)
        return _done(contract, shown.concealed(result.output))

    def _called(
        self, call: StepCall, project: Project, contract: ToolContract, arguments: Mapping[str, Any]
    ) -> Coroutine[Any, Any, ToolResult]:
        return self._services.tools.call(
            contract,
            arguments,
            idempotency_key=call.idempotency_key,
            timeout_s=call.timeout_s,
            settings=project.resolved_settings(self._services.variables),
            files=project.files,
            may_send=call.may_send if contract.effect else always,
        )

    async def look_up(self, call: StepCall) -> Done | None:
        """What the contract's look-up tool knows of this key."""
        contract = _contract(call)
        project = project_of(call)
        assert call.idempotency_key is not None
        shown = await self._shown(call, contract)
        async with shown.told():
            found = await self._services.tools.look_up(
                contract,
                project.tools,
                shown.arguments,
                idempotency_key=call.idempotency_key,
                timeout_s=call.timeout_s,
                settings=project.resolved_settings(self._services.variables),
                files=project.files,
            )
        return None if found is None else _done(contract, shown.concealed(found.output))

    def check_answer(self, call: StepCall, output: Mapping[str, Any]) -> None:
        """What a person states meets the tool's contract, like an answer of its own.

        Raises:
            StepError: kind `contract`.
        """
        contract = _contract(call)
        problems = contract.answers.problems(output)
        if problems:
            raise broken_answer(contract, f"what was stated is no answer of it. {problems[0].detail}", problems)

    def _request(self, call: StepCall, contract: ToolContract) -> PolicyRequest:
        return tool_request(
            call.run,
            tool=contract.name,
            effect="write" if contract.effect else "none",
            arguments=_arguments(call),
            labels=call.labels,
            argument_labels=call.argument_labels,
            approvals=call.approvals,
            environment=self._services.environment,
        )

    async def _shown(self, call: StepCall, contract: ToolContract) -> Revealed:
        """The arguments as the tool may see them: by policy's answer of now, which was journaled before the call."""
        if not has_tokens(_arguments(call)):
            return Revealed(_arguments(call))
        decision = (await self._services.authority(call)).decide(self._request(call, contract))
        return await revealed(call, _arguments(call), decision, self._services)


def _contract(call: StepCall) -> ToolContract:
    return project_of(call).tools[call.step.target]


def _spending(contract: ToolContract, arguments: Mapping[str, Any]) -> Spending | None:
    """What a call spends of its tool's quota, if nobody approved it."""
    quota = contract.quota
    if quota is None:
        return None
    amount: Any = arguments.get(quota.spend, 0) if quota.spend else 1
    if not isinstance(amount, int) or amount < 0:
        raise StepError(f"'{quota.spend}' of '{contract.name}' is not a whole number", kind="arguments")
    return Spending(contract.name, str(arguments.get(quota.per, "")), amount, quota.most, quota.window_s)


def _arguments(call: StepCall) -> Mapping[str, Any]:
    return call.arguments.get("with", {})


def _done(contract: ToolContract, output: Mapping[str, Any]) -> Done:
    return Done(output, contract.answer_labels, fields=contract.answer_fields)
