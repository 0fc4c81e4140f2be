"""The verb `tool`: call a tool by its contract. One with an effect acts once, whatever breaks."""

from __future__ import annotations

from collections.abc import Coroutine, Mapping
from types import MappingProxyType
from typing import Any

from signoff.capabilities.gateway.revealing import REVEAL
from signoff.capabilities.tools.failures import broken_answer
from signoff.capabilities.tools.model import ToolResult
from signoff.capabilities.tools.runner import NO_SETTINGS, always
from signoff.catalog import Project, ToolContract
from signoff.catalog.authority import Authority
from signoff.core.errors import StepError
from signoff.core.values import value
from signoff.governance.policy import Decision
from signoff.governance.policy.tool_questions import ToolQuestion
from signoff.runtime.handlers import DECISION, Done, Effect, Spending, StepCall
from signoff.steps.acting import ActingStep
from signoff.steps.outgoing import require_clean
from signoff.steps.revealing import REVEALED, Revealed, has_tokens, revealed
from signoff.steps.services import Services, permitted, project_of
from signoff.steps.unproven import require_flow

_FULFILLED = frozenset((REVEAL,))
_NOTHING: Mapping[str, Any] = MappingProxyType({})

KNOWN_PROJECTS = 64
"""Of how many projects it is kept what calls of their tools have in common."""


@value
class _Plan:
    """What all calls of a tool have in common.

    Attributes:
        project: the tool's; held, so that no other gets its id.
        effect: none where it has none, or where each call says what it spends.
        kind: what policy hears of that: `write` or `none`.
        target: what a circuit breaker counts together.
        filtered: filters look at what it gets.
        unproven: the project's workflows of which nothing is proven before they run.
    """

    project: Project
    contract: ToolContract
    effect: Effect | None
    kind: str
    target: str
    filtered: bool
    unproven: frozenset[str]


class ToolStep(ActingStep):
    """Asks policy on the final arguments, then calls."""

    verb = "tool"

    def __init__(self, services: Services) -> None:
        self._services = services
        self._environment = services.environment
        self._plans: dict[int, dict[str, _Plan]] = {}

    def effect(self, call: StepCall) -> Effect | None:
        """What the contract says of it: a write is journaled before it is sent."""
        plan: _Plan = call.plan or self._plan(call)
        contract = plan.contract
        if plan.effect is not None or not contract.effect:
            return plan.effect
        return self._effect(contract, _spending(contract, _arguments(call)))

    def target(self, call: StepCall) -> str:
        """What a circuit breaker counts together: the tool."""
        plan: _Plan = call.plan or self._plan(call)
        return plan.target

    def permitted(self, call: StepCall) -> bool:
        """Policy's answer to `tool.call`; false where it, or what a filter finds, has to be waited for.

        Raises:
            StepError: kind `flow` or `forbidden`.
        """
        plan, given = self._plan(call), _arguments(call)
        if plan.filtered or has_tokens(given):
            return False
        authority = self._services.policies.known_authority(call.run.org_id, call.release)
        if authority is None:
            return False
        self._required(call, plan, given, authority)
        return True

    async def permit(self, call: StepCall) -> None:
        """Policy's answer to `tool.call`, then what its filters find in the arguments.

        Raises:
            StepError: kind `flow`, `forbidden`, `filtered`, `unreviewed` or `filter_failed`.
        """
        plan, given = self._plan(call), _arguments(call)
        contract = plan.contract
        decision = self._required(call, plan, given, await self._services.authority(call))
        if has_tokens(given):
            shown = await revealed(call, given, decision, self._services)
            if shown.kinds:
                call.record(REVEALED, {"tool": contract.name, "kinds": list(shown.kinds)})
        uses = plan.project.outgoing.of_tool(contract)
        if uses:
            what = f"What '{contract.name}' would get"
            await require_clean(call, uses, given, what=what, services=self._services)

    def _required(self, call: StepCall, plan: _Plan, given: Mapping[str, Any], authority: Authority) -> Decision:
        if call.run.workflow in plan.unproven:
            require_flow(call, plan.contract)
        decision = authority.decide_call(self._question(call, plan, given))
        call.record(DECISION, decision.told("tool.call"))
        return permitted(decision, _FULFILLED)

    async def execute(self, call: StepCall) -> Done:
        """The tool's answer, which meets its contract."""
        plan: _Plan = call.plan or self._plan(call)
        given = _arguments(call)
        if not has_tokens(given):
            return _done(plan.contract, (await self._called(call, plan, given)).output)
        shown = await self._shown(call, plan)
        async with shown.told():
            result = await self._called(call, plan, shown.arguments)
        return _done(plan.contract, shown.concealed(result.output))

    def _called(self, call: StepCall, plan: _Plan, arguments: Mapping[str, Any]) -> Coroutine[Any, Any, ToolResult]:
        project = plan.project
        return self._services.tools.call(
            plan.contract,
            arguments,
            idempotency_key=call.idempotency_key,
            timeout_s=call.timeout_s,
            settings=project.resolved_settings(self._services.variables) if project.settings else NO_SETTINGS,
            files=project.files,
            may_send=call.may_send if plan.contract.effect else always,
        )

    async def look_up(self, call: StepCall) -> Done | None:
        """What the contract's look-up tool knows of this key."""
        plan = self._plan(call)
        project, contract = plan.project, plan.contract
        assert call.idempotency_key is not None
        shown = await self._shown(call, plan)
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
        contract = self._plan(call).contract
        problems = contract.answers.problems(output)
        if problems:
            raise broken_answer(contract, f"what was stated is no answer of it. {problems[0].detail}", problems)

    def _question(self, call: StepCall, plan: _Plan, given: Mapping[str, Any]) -> ToolQuestion:
        return ToolQuestion(
            call.run,
            plan.contract.name,
            plan.kind,
            given,
            call.labels,
            call.argument_labels,
            call.approvals,
            self._environment,
        )

    async def _shown(self, call: StepCall, plan: _Plan) -> Revealed:
        """The arguments as the tool may see them: by policy's answer of now, which was journaled before the call."""
        given = _arguments(call)
        if not has_tokens(given):
            return Revealed(given)
        decision = (await self._services.authority(call)).decide_call(self._question(call, plan, given))
        return await revealed(call, given, decision, self._services)

    def _plan(self, call: StepCall) -> _Plan:
        plan = call.plan
        if plan is None:
            project = project_of(call)
            known = self._plans.get(id(project))
            if known is None:
                known = self._plans[id(project)] = {}
                if len(self._plans) > KNOWN_PROJECTS:
                    del self._plans[next(iter(self._plans))]
            plan = known.get(call.step.target)
            if plan is None:
                plan = known[call.step.target] = self._planned(project, call.step.target)
            call.planned(plan)
        return plan

    def _planned(self, project: Project, name: str) -> _Plan:
        contract = project.tools[name]
        constant = contract.effect and contract.quota is None
        effect = self._effect(contract, None) if constant else None
        kind, filtered = "write" if contract.effect else "none", bool(project.outgoing.of_tool(contract))
        unproven = frozenset(named for named, one in project.workflows.items() if one.python is not None)
        return _Plan(project, contract, effect, kind, f"tool/{name}", filtered, unproven)

    def _effect(self, contract: ToolContract, spending: Spending | None) -> Effect:
        assert contract.idempotency is not None
        return Effect(contract.idempotency.recovery, self._services.tools.settles_after_s(contract), spending)


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
    return call.arguments.get("with", _NOTHING)


def _done(contract: ToolContract, output: Mapping[str, Any]) -> Done:
    return Done(output, contract.answer_labels, fields=contract.answer_fields)
