"""Runs of small workflows without an engine, for the claim about data flow: an attacker chooses the untrusted input and
every answer of a model, and what the run does to the world is recorded."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from functools import cache
from pathlib import Path
from typing import Any
from uuid import UUID

from support import flow_bodies as bodies

from signoff.catalog.documents import compile_documents, read_documents
from signoff.catalog.flow import surroundings_of
from signoff.catalog.model import RETRIEVAL_CONTRACT, Project
from signoff.catalog.projects import PromptContracts, load_project_files
from signoff.core.actors import Actor
from signoff.core.errors import DefinitionError, Problem, StepError
from signoff.core.labels import Fields, Labels, Trust, read_fields, written_fields
from signoff.governance.policy import PolicyRequest, PolicySet, model_request, tool_request
from signoff.runtime.handlers import Approval, RunFacts
from signoff.runtime.inputs import scope_of
from signoff.runtime.program import NAMING
from signoff.workflows import Contracts
from signoff.workflows.flow import FlowResult, StepFlow
from signoff.workflows.flow.contracts import ToolFacts
from signoff.workflows.flow.model import NOTHING, Flow, Value
from signoff.workflows.flow.sinks import endorsing, uncaused
from signoff.workflows.graph import ranks
from signoff.workflows.labelling import acting_control, labels_of_parts, status_labels
from signoff.workflows.model import Step, Workflow
from signoff.workflows.offers import ChosenTemplate
from signoff.workflows.semantics import STATUS, Ended, Ready, RunScope, StepState, decide_step

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


def project_with(text: str, child: str = "") -> Project:
    """The project of docs/data-flow with a workflow `case`, and one that it may call, `child`."""
    project = shared_project()
    contracts = Contracts(
        prompts=PromptContracts(project.prompts),
        tools={name: tool.contract for name, tool in project.tools.items()},
        indexes={"handbook": RETRIEVAL_CONTRACT},
        schemas=project.schemas,
    )
    texts = {"workflows/case.yaml": text, **({"workflows/child.yaml": child} if child else {})}
    problems: list[Problem] = []
    workflows = compile_documents(read_documents(texts, contracts, problems), contracts, problems)
    if problems:
        raise DefinitionError("It does not compile.", problems=problems)
    return replace(project, workflows=workflows)


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
        told: what an attacker had told us otherwise: an event, and a passage of the handbook.
        inside: the path of the step that called it, of a run that was called.
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
    told: Mapping[str, Any] = field(default_factory=dict[str, Any])
    inside: str = ""

    def go(self, value: Mapping[str, Any], parent: Mapping[str, Any] | None = None) -> Run:
        states: dict[str, StepState] = {}
        started = {"input": value, **({} if parent is None else {"parent": parent})}
        self.scope = scope_of(self.workflow, started, states)
        self.run_scope(self.workflow.steps, self.scope, states, "", ())
        return self

    def run_scope(
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
            self._note(self.inside + path, decided.labels)
            if decided.status == "failed":
                return self._failed(step, scope, decided.labels)
            return StepState(decided.status, decided.status, labels=decided.labels, is_review=step.verb == "review")
        self._note(self.inside + path, decided.labels)
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
        control = acting_control(step, scope, states)
        base = labels if control is None else control
        output: Mapping[str, Any] = {}
        result = "done"
        fields: dict[tuple[str, ...], Labels] = {}
        if step.verb in NAMING:
            fields = {(name,): one for name, one in labels_of_parts(step, NAMING[step.verb], scope, states).items()}
        if step.is_group:
            end = bodies.run_group(self, step, scope, path, index, ready, base)
            self._note(self.inside + path, end.labels)
            if end.status != "done":
                return StepState("failed", "failed", labels=labels.join(end.labels))
            output, labels = end.output, labels.join(end.labels)
            fields = {at: base.join(one) for at, one in end.fields.items()}
        elif step.verb == "call":
            output, added, inner = bodies.run_called(self, step, scope, path, ready, base)
            labels, fields = labels.join(added), {at: base.join(one) for at, one in inner.items()}
        elif step.verb in ("wait", "retrieve"):
            output, labels = self.told[step.verb], labels.join(Labels(trust=Trust.UNTRUSTED))
        elif step.verb == "ai":
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
        self._note(self.inside + path, labels)
        fields = {STATUS: status_labels(step, labels, read=ready.labels, control=control), **fields}
        fields = dict(read_fields(labels, written_fields(labels, fields)))
        at_path = self.inside + path
        before = self.fields.get(at_path, {})
        self.fields[at_path] = {at: one.join(before.get(at, one)) for at, one in fields.items()}
        is_review = step.verb == "review"
        return StepState("done", result, output, labels, readable=True, is_review=is_review, fields=fields)

    def _tool(self, step: Step, path: str, index: tuple[int, ...], given: Mapping[str, Any]) -> Mapping[str, Any]:
        if not given.keys() >= set(self.project.tools[step.target].input_schema["required"]):
            raise StepError("the arguments break the contract", kind="arguments")
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
        self.acted.append(Acted(self.inside + path, index, step.target, given, approved))
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


def every_flow(result: FlowResult, prefix: str = "") -> Iterator[tuple[str, FlowResult, StepFlow]]:
    """Every step that was analysed, those of called workflows too, by its path in a run."""
    for path, flow in result.steps.items():
        yield prefix + path, result, flow
    for path, inner in result.calls.items():
        yield from every_flow(inner, f"{prefix}{path}>")


def within(result: FlowResult, run: Run, text: str) -> None:
    """The labels that a run had are within those that the analysis found: of each step, of its end, of its fields."""
    flows = {path: flow for path, _, flow in every_flow(result)}
    for path, labels in run.labels.items():
        flow = flows[path]
        _covers(flow.covering().join(flow.outcome), labels, path, text)
    for path, fields in run.fields.items():
        flow = flows[path]
        for at, labels in fields.items():
            if at == STATUS:
                _covers(flow.outcome, labels, f"{path}.result", text)
                continue
            static = flow.control.join(flow.arguments.whole() if flow.step.verb == "tool" else NOTHING)
            value = flow.value
            for name in at:  # of the shape of what it stands in too; items of a list stand where the list does
                static, value = static.join(value.flow), _inside(value, name)
            _covers(static.join(value.whole()), labels, f"{path}.{'.'.join(at)}", text)


def _inside(value: Value, name: str) -> Value:
    return value.item().select((name,)) if value.items is not None and not value.fields else value.select((name,))


def _covers(static: Flow, labels: Labels, path: str, text: str) -> None:
    known = static.labels()
    assert known.trust >= labels.trust, (path, text)
    assert known.data_class >= labels.data_class, (path, text)
    assert known.residency >= labels.residency, (path, text)


def violations(project: Project, result: FlowResult, first: Run, second: Run) -> list[str]:
    """Where two runs that differ in untrusted input only break the claim; what a person decided on is exempt."""
    around = surroundings_of(project)
    found: list[str] = []
    for path, inner, flow in every_flow(result):
        if flow.step.verb != "tool" or not around.tools[flow.step.target].effect:
            continue
        grounds = endorsing(inner, flow)
        atoms = flow.arguments.whole().atoms
        seen = frozenset(name for name, shown in grounds.values.items() if all(map(shown.covers, atoms)))
        one, other = (_by_index(run, path, seen) for run in (first, second))
        complete = not (first.failed or second.failed)
        caused = bool(uncaused(flow, grounds).atoms)
        varies = _varies(flow, around.tools[flow.step.target])
        reviewed = any(acted.step == path and acted.approved for acted in (*first.acted, *second.acted))
        if complete and not reviewed and one.keys() != other.keys() and (not caused or varies):
            found.append(f"{path} acts in one run only")
        careful = project.tools[flow.step.target].trigger == "trusted"
        if careful and complete and not reviewed and one.keys() != other.keys():
            found.append(f"{path} was caused by untrusted data")
        found += _arguments(project, path, one, other)
    return found + _chosen(project, first, second)


def _varies(flow: StepFlow, tool: ToolFacts) -> bool:
    """Whether acting in one iteration and not in another says something; of an agent's calls only what is trusted."""
    if not isinstance(flow.step.arguments.get("with"), ChosenTemplate):
        return bool(flow.arguments.whole().varies)
    trusted = (path for path, sink in tool.sinks.items() if sink == "trusted")
    return any(flow.arguments.select(("with", *path)).whole().varies for path in trusted)


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
