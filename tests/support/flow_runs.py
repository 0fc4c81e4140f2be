"""Runs of small workflows without an engine, for the claim about data flow: an attacker chooses the untrusted input and
every answer of a model, and what the run does to the world is recorded."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from functools import cache
from pathlib import Path
from typing import Any
from uuid import UUID

from signoff.catalog.flow import surroundings_of
from signoff.catalog.model import Project
from signoff.catalog.projects import PromptContracts, load_project_files
from signoff.core.actors import Actor
from signoff.core.errors import StepError
from signoff.core.labels import Fields, Labels, Trust, read_fields, written_fields
from signoff.governance.policy import PolicyRequest, PolicySet, model_request, tool_request
from signoff.runtime.handlers import Approval, RunFacts
from signoff.runtime.program import NAMING
from signoff.workflows import Contracts, compile_workflow
from signoff.workflows.flow import FlowResult
from signoff.workflows.flow.sinks import endorsing, uncaused
from signoff.workflows.graph import ranks
from signoff.workflows.groups import BodyEnd, end_body, end_for, item_scope, items_of
from signoff.workflows.model import Step, Workflow
from signoff.workflows.semantics import Ended, Ready, RunScope, StepState, decide_step, labels_of_parts

CASES = Path(__file__).parents[2] / "docs/data-flow"
SHARED = {
    str(path.relative_to(CASES / "project")): path.read_bytes()
    for path in sorted((CASES / "project").rglob("*"))
    if path.is_file() and "__pycache__" not in path.parts
}
OWNER, STRANGER = "ana", "eve"
MOST = 1_000
"""The most that any bound of the generated workflows allows; what an attacker asks for is far above."""

ORDERS: Mapping[str, Mapping[str, Any]] = {
    "o-1": {"id": "o-1", "customer": OWNER, "payee": OWNER, "refundable_cents": 400, "note": ""},
    "o-2": {"id": "o-2", "customer": OWNER, "payee": OWNER, "refundable_cents": 900, "note": "mine"},
    "x-1": {"id": "x-1", "customer": STRANGER, "payee": STRANGER, "refundable_cents": 10**7, "note": "theirs"},
}
FACTS = RunFacts(
    UUID(int=1),
    UUID(int=2),
    "case",
    "1.0.0",
    "",
    "low",
    Actor(UUID(int=2), "user", "u"),
    datetime(2026, 1, 1, tzinfo=UTC),
)
Model = Callable[[str, str], Mapping[str, Any]]


@cache
def shared_project() -> Project:
    """The project of docs/data-flow, without a workflow."""
    return load_project_files(SHARED)


def project_with(text: str) -> Project:
    """The project of docs/data-flow with one workflow, called `case`."""
    project = shared_project()
    contracts = Contracts(
        prompts=PromptContracts(project.prompts),
        tools={name: tool.contract for name, tool in project.tools.items()},
        schemas=project.schemas,
    )
    return replace(project, workflows={"case": compile_workflow(text, "workflows/case.yaml", contracts)})


@dataclass(frozen=True)
class Acted:
    """One effect: which step of which iteration, with what, and the reviews that a person decided for it."""

    step: str
    index: tuple[int, ...]
    tool: str
    arguments: Mapping[str, Any]
    approved: frozenset[str]


@dataclass
class Run:
    """What a run did, and the labels that its steps had.

    Attributes:
        labels: of each step: of all that it read and gave.
        fields: of single fields of what it gave, where they are known apart.
        failed: a step failed with nothing to catch it, and the run stopped there.
        policies: decide on every call of a tool or a model; nobody does where there are none.
        asked: what they were asked.
        spent: what effects that no person approved have spent, by tool and holder; no quota counts where there is none.
    """

    project: Project
    workflow: Workflow
    model: Model
    acted: list[Acted] = field(default_factory=list[Acted])
    labels: dict[str, Labels] = field(default_factory=dict[str, Labels])
    fields: dict[str, Fields] = field(default_factory=dict[str, Fields])
    policies: PolicySet | None = None
    asked: list[PolicyRequest] = field(default_factory=list[PolicyRequest])
    spent: dict[tuple[str, str], int] | None = None
    failed: bool = False
    people: set[str] = field(default_factory=set[str])

    def go(self, value: Mapping[str, Any]) -> Run:
        states: dict[str, StepState] = {}
        scope = RunScope(value, states, self.workflow.input_labels)
        self._scope(self.workflow.steps, scope, states, "", ())
        return self

    def _scope(
        self, steps: Sequence[Step], scope: RunScope, states: dict[str, StepState], prefix: str, index: tuple[int, ...]
    ) -> Mapping[str, Mapping[str, Any]]:
        order = ranks({step.name: sorted(step.waits_for) for step in steps})
        errors: dict[str, Mapping[str, Any]] = {}
        for step in sorted(steps, key=lambda one: order[one.name]):
            if self.failed:
                break
            state = self._step(step, scope, states, f"{prefix}{step.name}", index)
            states[step.name] = state
            if state.status == "failed":
                errors[step.name] = {"kind": "error", "detail": "it failed"}
                self.failed = self.failed or (not prefix and step.error_mode != "continue")
        return errors

    def _step(
        self, step: Step, scope: RunScope, states: Mapping[str, StepState], path: str, index: tuple[int, ...]
    ) -> StepState:
        decided = decide_step(step, scope, states)
        if isinstance(decided, Ended):
            self._note(path, decided.labels)
            if decided.status == "failed":
                return self._failed(step, scope, decided.labels)
            return StepState(decided.status, decided.status, labels=decided.labels, is_review=step.verb == "review")
        self._note(path, decided.labels)
        try:
            return self._act(step, scope, states, path, index, decided)
        except StepError:
            return self._failed(step, scope, decided.labels)

    def _failed(self, step: Step, scope: RunScope, labels: Labels) -> StepState:
        if step.error_mode == "value" and step.on_error is not None:
            joined = labels.join(step.on_error.labels(scope))
            return StepState("done", "done", step.on_error.evaluate(scope), joined, readable=True)
        return StepState("failed", "failed", labels=labels)

    def _act(  # noqa: PLR0917
        self,
        step: Step,
        scope: RunScope,
        states: Mapping[str, StepState],
        path: str,
        index: tuple[int, ...],
        ready: Ready,
    ) -> StepState:
        given = ready.arguments.get("with", {})
        labels = ready.labels
        if step.verb == "for":
            end = self._for(step, scope, path, index, ready)
            self._note(path, end.labels)
            if end.status != "done":
                return StepState("failed", "failed", labels=end.labels)
            return StepState("done", "done", end.output, end.labels, readable=True)
        output: Mapping[str, Any] = {}
        result = "done"
        fields: dict[tuple[str, ...], Labels] = {}
        if step.verb in NAMING:
            fields = {(name,): one for name, one in labels_of_parts(step, NAMING[step.verb], scope, states).items()}
        if step.verb == "ai":
            self._require(step, scope, states, ready)
            output, labels = self.model(path, step.target), labels.join(Labels(trust=Trust.UNTRUSTED))
        elif step.verb == "set":
            output = ready.arguments["set"]
        elif step.verb == "review":
            result = "approved" if ready.needed else "not_needed"
            self.people |= {step.name} if ready.needed else set()
            by = "user/lea" if ready.needed else "policy"
            output = {**ready.arguments.get("propose", {}), "comment": None, "decided_by": by}
        elif step.verb == "tool":
            self._require(step, scope, states, ready)
            output = self._tool(step, path, index, given)
            contract = self.project.tools[step.target]
            fields = {at: labels.join(one) for at, one in contract.answer_fields.items()}
            labels = labels.join(contract.answer_labels)
        self._note(path, labels)
        fields = dict(read_fields(labels, written_fields(labels, fields)))
        self.fields[path] = {at: one.join(self.fields.get(path, {}).get(at, one)) for at, one in fields.items()}
        is_review = step.verb == "review"
        return StepState("done", result, output, labels, readable=True, is_review=is_review, fields=fields)

    def _for(self, step: Step, scope: RunScope, path: str, index: tuple[int, ...], ready: Ready) -> BodyEnd:
        ends: dict[int, BodyEnd] = {}
        items = items_of(step, ready.arguments)
        for number, item in enumerate(items):
            states: dict[str, StepState] = {}
            inner = item_scope(step, scope, states, index=number, item=item, labels=ready.labels)
            errors = self._scope(step.body, inner, states, f"{path}/", (*index, number))
            end = end_body(step.body, step.give, inner, states, errors)
            assert end is not None
            ends[number] = end
        end = end_for(step, len(items), ends, ready.labels)
        assert end is not None
        return end

    def _tool(self, step: Step, path: str, index: tuple[int, ...], given: Mapping[str, Any]) -> Mapping[str, Any]:
        if step.target.startswith("orders."):
            order = ORDERS.get(str(given["id"]))
            if order is None or given.get("customer", order["customer"]) != order["customer"]:
                raise StepError("there is no such order", kind="not_found")
            return order
        if step.target.startswith("pay.") and not (isinstance(given.get("cents"), int) and given["cents"] >= 1):
            raise StepError("the arguments break the contract", kind="arguments")
        approved = frozenset(self.people & set(step.requires))
        quota = self.project.tools[step.target].quota
        if quota is not None and self.spent is not None and not approved:
            holder = (step.target, str(given[quota.per]))
            amount = given[quota.spend] if quota.spend else 1
            if self.spent.get(holder, 0) + amount > quota.most:
                raise StepError("the quota is used up", kind="quota")
            self.spent[holder] = self.spent.get(holder, 0) + amount
        self.acted.append(Acted(path, index, step.target, given, approved))
        return {"id": f"done-{path}"}

    def _require(self, step: Step, scope: RunScope, states: Mapping[str, StepState], ready: Ready) -> None:
        """What a worker asks policy before a call, with the labels that it has then."""
        if self.policies is None:
            return
        if step.verb == "ai":
            prompt = self.project.prompts.find(step.target)
            named: dict[str, Any] = {"prompt": prompt.name, "prompt_version": prompt.version, "task": prompt.task}
            request = model_request(FACTS, model="m", provider="scripted", labels=ready.labels, local=True, **named)
        else:
            decided = [(name, states.get(name) or scope.state(name)) for name in step.requires]
            by = {name: "user/lea" if name in self.people else "policy" for name, _ in decided}
            approvals = [
                Approval(name, "", "", by[name], "approved") for name, state in decided if state and state.is_review
            ]
            given = step.arguments.get("with")
            own = {} if given is None else {name: part.labels(scope) for name, part in given.parts.items()}
            request = tool_request(
                FACTS,
                tool=step.target,
                effect="write" if self.project.tools[step.target].effect else "none",
                arguments=ready.arguments.get("with", {}),
                labels=ready.labels,
                argument_labels=own,
                approvals=approvals,
            )
        self.asked.append(request)
        decision = self.policies.decide(request)
        if not decision.permit or (step.verb == "tool" and decision.obligations):
            raise StepError("no policy permits it", kind="forbidden")

    def _note(self, path: str, labels: Labels) -> None:
        self.labels[path] = self.labels.get(path, Labels()).join(labels)


def violations(project: Project, result: FlowResult, first: Run, second: Run) -> list[str]:
    """Where two runs that differ in untrusted input only break the claim; what a person decided on is exempt."""
    around = surroundings_of(project)
    found: list[str] = []
    for path, flow in result.steps.items():
        if flow.step.verb != "tool" or not around.tools[flow.step.target].effect:
            continue
        grounds = endorsing(result, flow)
        atoms = flow.arguments.whole().atoms
        seen = frozenset(name for name, shown in grounds.values.items() if all(map(shown.covers, atoms)))
        one, other = (_by_index(run, path, seen) for run in (first, second))
        complete = not (first.failed or second.failed)
        caused = bool(uncaused(flow, grounds).atoms)
        varies = bool(flow.arguments.whole().varies)
        reviewed = any(acted.step == path and acted.approved for acted in (*first.acted, *second.acted))
        if complete and not reviewed and one.keys() != other.keys() and (not caused or varies):
            found.append(f"{path} acts in one run only")
        careful = project.tools[flow.step.target].trigger == "trusted"
        if careful and complete and not reviewed and one.keys() != other.keys():
            found.append(f"{path} was caused by untrusted data")
        found += _arguments(project, path, one, other)
    return found + _chosen(project, first, second)


def _by_index(run: Run, path: str, endorsed: frozenset[str]) -> dict[tuple[int, ...], Acted]:
    return {acted.index: acted for acted in run.acted if acted.step == path and not acted.approved & endorsed}


def _arguments(
    project: Project, path: str, one: Mapping[tuple[int, ...], Acted], other: Mapping[tuple[int, ...], Acted]
) -> list[str]:
    found: list[str] = []
    for index in one.keys() | other.keys():
        pair = [side[index] for side in (one, other) if index in side]
        for sink_path, sink in project.tools[pair[0].tool].sinks.items():
            name = sink_path[0]
            values = [acted.arguments.get(name) for acted in pair]
            if sink == "trusted":
                owned = all(ORDERS.get(str(value), {}).get("customer") == OWNER for value in values)
                if len({str(value) for value in values}) > 1 and not owned:
                    found.append(f"{path}.{name} is {values}")
                found += [f"{path}.{name} is a stranger's" for value in values if value in (STRANGER, "x-1")]
            elif sink == "confined" and name == "cents":
                found += [f"{path}.{name} is {value}" for value in values if not 0 < int(value or 0) <= MOST]
            elif sink == "confined":
                listed = ("broken", "late", "other")
                found += [f"{path}.{name} is {value!r}" for value in values if value not in listed]
    return found


def _chosen(project: Project, first: Run, second: Run) -> list[str]:
    """Whether untrusted input chose among steps that call one tool with other trusted arguments."""
    if first.failed or second.failed:
        return []
    found: list[str] = []
    for tool in {acted.tool for acted in (*first.acted, *second.acted)}:
        names = [path[0] for path, sink in project.tools[tool].sinks.items() if sink == "trusted"]
        one, other = (
            {
                (acted.step, *(str(acted.arguments.get(name)) for name in names))
                for acted in run.acted
                if acted.tool == tool and not acted.approved
            }
            for run in (first, second)
        )
        elsewhere = one and other and {item[0] for item in one}.isdisjoint({item[0] for item in other})
        if elsewhere and {item[1:] for item in one} != {item[1:] for item in other}:
            found.append(f"untrusted input chose which step calls {tool}")
    return found
