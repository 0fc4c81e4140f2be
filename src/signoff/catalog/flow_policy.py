"""Policy against data flow: effects that it can never permit, data that it keeps back, reviews that nobody may decide.

Policy decides again as a run goes on. Here it is asked with the labels that data has at most, so that what it would
refuse is known before a run stands still.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from datetime import UTC, datetime
from typing import Any
from uuid import UUID

from signoff.catalog.model import Project
from signoff.catalog.models import LOCAL_PROVIDERS
from signoff.catalog.prompts import Prompt
from signoff.core.actors import Actor
from signoff.core.errors import NotFoundError
from signoff.core.labels import BOTTOM, DataClass, Labels, Trust
from signoff.governance.policy import (
    PolicyRequest,
    PolicySet,
    emit_request,
    model_request,
    retrieve_request,
    review_request,
)
from signoff.governance.policy.partial import Between, Facts, OneOf
from signoff.governance.policy.possible import Never, Permits, PossiblePermits
from signoff.governance.policy.requests import RISK_LEVELS
from signoff.runtime.handlers import RunFacts
from signoff.workflows.flow import Finding, FlowResult, StepFlow
from signoff.workflows.flow.model import Hop
from signoff.workflows.model import Expression, Workflow
from signoff.workflows.templates import Constant

ENVIRONMENTS = ("prod", "staging", "dev")
"""Environments that policy is asked for: what one of them permits is possible."""

NOBODY = UUID(int=0)
"""The organisation of actors that stand for anybody."""

_KINDS = {"tool": ("tool.call", "Tool"), "emit": ("event.emit", "Event"), "retrieve": ("retrieve", "Index")}

Ask = Callable[[RunFacts, Labels, str], list[PolicyRequest]]


class PolicyCheck:
    """A project's policies, asked about its workflows; nothing where there are none, of which a check warns."""

    def __init__(self, project: Project) -> None:
        self._project = project
        policies = PolicySet.parse(project.policies)
        self._permits = Permits(policies)
        self._possible = PossiblePermits(policies)

    def findings(self, result: FlowResult) -> Iterator[Finding]:
        """What policy makes impossible about a workflow."""
        if self._project.policies:
            checker = _WorkflowCheck(self._project, self._possible, self._permits, result.workflow)
            for flow in result.steps.values():
                yield from checker.step(flow)


class _WorkflowCheck:
    def __init__(self, project: Project, possible: PossiblePermits, permits: Permits, workflow: Workflow) -> None:
        self._project = project
        self._possible = possible
        self._permits = permits
        self._workflow = workflow

    def step(self, flow: StepFlow) -> Iterator[Finding]:
        """What policy makes impossible about one step."""
        verb, target = flow.step.verb, flow.step.target
        if verb == "review":
            yield from self._review(flow)
        elif verb in _KINDS:
            action, kind = _KINDS[verb]
            why = self._possible.never(self._facts(flow, action, (kind, target)))
            if why is not None:
                yield self._impossible(flow, action, f'{kind}::"{target}"', why)
            elif verb != "tool":
                yield from self._labelled(flow, f"'{target}'", self._asking(verb, target))
        elif verb == "ai":
            yield from self._prompted(flow)
        elif verb == "model":
            yield from self._model(flow, target, None)

    def _facts(self, flow: StepFlow, action: str, resource: tuple[str, str]) -> list[Facts]:
        """What is known of the request that the step will make, in each environment."""
        workflow, labels = self._workflow, flow.arguments.whole().join(flow.control).labels()
        context: dict[str, Any] = {
            "workflow": workflow.name,
            "workflow_version": workflow.version,
            "risk": workflow.risk,
            "risk_level": RISK_LEVELS[workflow.risk],
            **_classes(labels.data_class),
            **_trusts(labels.trust),
        }
        if not labels.residency:
            context["residency"] = []
        attributes: dict[str, Any] = {}
        tool = self._project.tools.get(resource[1]) if action == "tool.call" else None
        if tool is not None:
            context["effect"] = attributes["effect"] = "write" if tool.effect else "none"
            context["arguments"] = _constants(flow.step.arguments.get("with"))
            if not any(_is_review(flow, name) for name in flow.step.requires):
                context["approvals"] = context["approved_by"] = []
        return [
            Facts(action, resource, attributes, {**context, "environment": environment}) for environment in ENVIRONMENTS
        ]

    def _impossible(self, flow: StepFlow, action: str, resource: str, why: Never) -> Finding:
        if not why.policies:
            return self._finding(flow, "flow-permission", f"No policy can ever permit '{action}' on {resource}.")
        named = " and ".join(f"'{policy}'" for policy in why.policies)
        reads = f" ({', '.join(f'context.{name}' for name in why.reads)})" if why.reads else ""
        if why.effect == "permit":
            detail = (
                f"No policy can permit '{action}' on {resource} for this step: {named} wants what is never so{reads}."
            )
        elif why.reads:
            detail = f"Policy {named} forbids '{action}' on {resource} in every run: what it asks is always so{reads}."
        else:
            detail = f"Policy {named} forbids '{action}' on {resource} whatever the request says."
        hint = "Permit it in policies/, or take the step out."
        if {"approvals", "approved_by"} & {*why.reads}:
            hint = "Write a review into 'requires' whose decision the policy asks for, or permit it without one."
        return self._finding(flow, "flow-permission", detail, hint=hint)

    def _asking(self, verb: str, target: str) -> Ask:
        def ask(run: RunFacts, labels: Labels, environment: str) -> list[PolicyRequest]:
            if verb == "emit":
                return [emit_request(run, event_type=target, labels=labels, environment=environment)]
            return [retrieve_request(run, index=target, labels=labels, environment=environment)]

        return ask

    def _prompted(self, flow: StepFlow) -> Iterator[Finding]:
        try:
            prompt = self._project.prompts.find(flow.step.target)
        except NotFoundError:
            return
        yield from self._model(flow, prompt.task, prompt)

    def _model(self, flow: StepFlow, task: str, prompt: Prompt | None) -> Iterator[Finding]:
        named = "" if prompt is None else prompt.name
        models = self._project.models.route(task, named or None)
        if not models:
            return
        names = " and ".join(f"'{model.name}'" for model in models)

        def ask(run: RunFacts, labels: Labels, environment: str) -> list[PolicyRequest]:
            return [
                model_request(
                    run,
                    model=model.name,
                    provider=model.provider,
                    task=task,
                    prompt=named,
                    prompt_version="" if prompt is None else prompt.version,
                    labels=labels,
                    local=model.provider in LOCAL_PROVIDERS,
                    region=model.region,
                    environment=environment,
                )
                for model in models
            ]

        yield from self._labelled(flow, f"the model{'s' if len(models) > 1 else ''} {names}", ask)

    def _labelled(self, flow: StepFlow, taker: str, ask: Ask) -> Iterator[Finding]:
        given = flow.arguments.whole().join(flow.control)
        labels = given.labels()
        if self._permitted(ask, labels):
            return
        if self._permitted(ask, BOTTOM):
            word = labels.data_class.name.lower()
            where = f" of {', '.join(sorted(labels.residency))}" if labels.residency else ""
            detail = f"{word.capitalize()} data{where} can reach {taker}, which no policy permits."
            hop = Hop(flow.path, f"{flow.step.verb} {flow.step.target}".rstrip(), flow.step.line)
            hint = "Give it less, or permit that class in policies/."
            path = (*given.class_path, hop)
            yield Finding("flow-class", flow.path, flow.step.line, detail, flow.step.target, path, hint)
        else:
            yield self._finding(
                flow, "flow-permission", f"No policy could permit {taker} for it, whoever starts the run."
            )

    def _permitted(self, ask: Ask, labels: Labels) -> bool:
        return any(
            self._permits.permit(request)
            for actor in self._starters()
            for environment in ENVIRONMENTS
            for request in ask(self._run(actor), labels, environment)
        )

    def _starters(self) -> Iterator[Actor]:
        """Somebody of each role, somebody of none, and whom policies name: whoever may have started the run."""
        yield Actor(NOBODY, "user", "anybody")
        for role in self._project.roles:
            yield Actor(NOBODY, "user", "anybody", frozenset((role,)))
        for kind, name in sorted(self._possible.named):
            yield Actor(NOBODY, kind, name, frozenset(self._project.roles))

    def _run(self, actor: Actor) -> RunFacts:
        workflow = self._workflow
        moment = datetime(2026, 1, 1, tzinfo=UTC)
        return RunFacts(NOBODY, NOBODY, workflow.name, workflow.version, "", workflow.risk, actor, moment)

    def _review(self, flow: StepFlow) -> Iterator[Finding]:
        settings = flow.step.settings
        escalation: Mapping[str, Any] = settings.get("escalate") or {}
        named_roles = (settings.get("by"), escalation.get("also"))
        roles = [str(role).removeprefix("role/") for role in named_roles if role]
        if not roles or any(self._decides(flow, role, roles) for role in roles):
            return
        named = " or ".join(f"role/{role}" for role in roles)
        detail = f"Nobody may decide the review '{flow.path}': no policy permits 'review.decide' on it to {named}."
        yield self._finding(flow, "flow-role", detail, word=f"role/{roles[0]}")

    def _decides(self, flow: StepFlow, role: str, roles: list[str]) -> bool:
        workflow = self._workflow
        return any(
            self._permits.permit(
                review_request(
                    Actor(NOBODY, "user", "somebody", frozenset((role,))),
                    workflow=workflow.name,
                    version=workflow.version,
                    risk=workflow.risk,
                    step=path,
                    result="approved",
                    assigned_roles=roles,
                    started_by="user/anybody",
                    environment=environment,
                )
            )
            for environment in ENVIRONMENTS
            for path in _places(flow.path)
        )

    def _finding(
        self,
        flow: StepFlow,
        code: str,
        detail: str,
        word: str = "",
        hint: str = "Permit it in policies/, or take the step out.",
    ) -> Finding:
        return Finding(code, flow.path, flow.step.line, detail, word or flow.step.target, (), hint)


def _is_review(flow: StepFlow, name: str) -> bool:
    """Whether a step that is required may give an approval; what is not known here may."""
    known = flow.frame.step(name)
    return known is None or known.step.verb == "review"


def _constants(given: Expression | None) -> dict[str, Any]:
    """The arguments that the document writes out; of money and counts, as policies see nothing else of numbers."""
    parts: Mapping[str, Expression] = {} if given is None else given.parts
    kinds = (bool, int, str)
    return {
        name: part.value for name, part in parts.items() if isinstance(part, Constant) and isinstance(part.value, kinds)
    }


def _places(path: str) -> tuple[str, ...]:
    """How a run may call a step: one inside another stands in an iteration of it, or in what `on_error` runs."""
    return (path, path.replace("/", "[0]/"), path.replace("/", "!/")) if "/" in path else (path,)


def _classes(most: DataClass) -> Mapping[str, Any]:
    return {
        "data_class": Between(0, int(most)),
        "data_class_name": OneOf(frozenset(one.name.lower() for one in DataClass if one <= most)),
    }


def _trusts(least: Trust) -> Mapping[str, Any]:
    return {
        "trust": Between(0, int(least)),
        "trust_name": OneOf(frozenset(one.name.lower() for one in Trust if one <= least)),
    }
