"""Compiles a `plan`: a model writes which calls to make, it is validated, perhaps approved, and then executed.

A plan is made of the steps that there are, as an agent is (`agents.py`). One `ai` step writes it, a `review` shows it
to a person where the author says so, and a `repeat` over `tool` and `retrieve` steps executes it, call by call:

    settled/write                           the plan, which is data: calls, with constants or earlier results
    settled/approval                        where there is a `by`
    settled/steps[0]/call                   the first call, with what its references stand for
    settled/steps[0]/call_shop_get_order
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from typing import Any, cast

from signoff.core.labels import BOTTOM, Labels
from signoff.core.values import value
from signoff.workflows.bodies import Body
from signoff.workflows.contracts import find_contract
from signoff.workflows.documents import Node
from signoff.workflows.errors import ExpressionError
from signoff.workflows.model import Contract, Expression, Read, Scope, Step
from signoff.workflows.offers import (
    CALL,
    Answered,
    ChosenTemplate,
    Offer,
    chosen_step,
    made_mapping,
    made_text,
    offers_of,
    settings_of,
)
from signoff.workflows.scopes import StepScope, step_nodes
from signoff.workflows.shapes import ANY, INTEGER, LIST, STRING, Shape, list_shape, object_shape, shape_of_schema
from signoff.workflows.templates import MappingTemplate

WRITE = "write"
"""The step that writes the plan."""
APPROVAL = "approval"
"""The review of it."""
STEPS = "steps"
"""The step that executes it, and what the plan itself is called in what the model writes."""
QUESTION = "Shall this plan be executed?"
"""What its approval asks."""
RESULTS = "results"
"""What the calls gave, in the order of the plan."""
REFERENCE = {"result_of", "field"}
"""The members of an argument that stands for a field of what an earlier call gave."""

_REVIEW_KEYS = ("by", "expire", "escalate")


@value
class Resolved:
    """The arguments of the call whose turn it is, earlier results in place of references to them: an Expression."""

    @property
    def source(self) -> str:
        """There is nothing like it in documents."""
        return "what the plan says"

    @property
    def reads(self) -> tuple[Read, ...]:
        """The plan, and all that its calls have given."""
        return (Read(WRITE, (STEPS,)), Read("last"), Read("index"))

    @property
    def parts(self) -> Mapping[str, Expression]:
        """It is known as a whole only."""
        return {}

    def evaluate(self, scope: Scope) -> Any:
        """The arguments.

        Raises:
            ExpressionError: a reference is to something that is not there.
        """
        call = scope.value(WRITE)[STEPS][scope.value("index")]
        results: Sequence[Mapping[str, Any]] = scope.value("last")[RESULTS]
        return {name: resolved(given, results) for name, given in call["arguments"].items()}

    def labels(self, scope: Scope) -> Labels:
        """The join over the plan and all results so far."""
        found = BOTTOM
        for read in self.reads:
            found = found.join(scope.labels(read.root, read.path))
        return found


@value
class Gathered:
    """What all calls so far have given: an Expression."""

    answered: Answered

    @property
    def source(self) -> str:
        """There is nothing like it in documents."""
        return "what the calls gave"

    @property
    def reads(self) -> tuple[Read, ...]:
        """What came before, and what this call gave."""
        return (Read("last"), *self.answered.reads)

    @property
    def parts(self) -> Mapping[str, Expression]:
        """It is known as a whole only."""
        return {}

    def evaluate(self, scope: Scope) -> Any:
        """The results in order."""
        return {RESULTS: [*scope.value("last")[RESULTS], self.answered.evaluate(scope)]}

    def labels(self, scope: Scope) -> Labels:
        """The join over all of them."""
        return scope.labels("last", ()).join(self.answered.labels(scope))


def reference(given: Any) -> tuple[int, tuple[str, ...]] | None:
    """Which earlier call an argument refers to, and the field of what that gave; none of a constant."""
    if not isinstance(given, Mapping) or set(cast("Mapping[str, Any]", given)) != REFERENCE:
        return None
    written = cast("Mapping[str, Any]", given)
    at, field = written["result_of"], written["field"]
    if not isinstance(at, int) or isinstance(at, bool) or not isinstance(field, str) or not field:
        return None
    return at, tuple(field.split("."))


def resolved(given: Any, results: Sequence[Mapping[str, Any]]) -> Any:
    """An argument, or what it refers to.

    Raises:
        ExpressionError: that is not there.
    """
    found = reference(given)
    if found is None:
        return given
    at, field = found
    if not 0 <= at < len(results):
        raise ExpressionError(f"the plan refers to the result of call {at}, which has not been made")
    item: Any = results[at]["output"]
    for name in field:
        if not isinstance(item, Mapping) or name not in item:
            raise ExpressionError(f"call {at} of the plan gave no '{'.'.join(field)}'")
        item = cast("Mapping[str, Any]", item)[name]
    return item


class PlanCompiler:
    """Compiles one plan.

    Args:
        outer: the scope that it stands in.
        node: the step in the document.
    """

    def __init__(self, outer: StepScope, node: Node) -> None:
        self._outer = outer
        self._node = node

    def shape(self) -> Shape:
        """What it gives: the fields of its prompt's output, and the results."""
        contract = self._contract()
        each = object_shape({"tool": STRING, "output": ANY})
        return (
            ANY
            if contract is None
            else shape_of_schema(contract.output_schema).with_fields({RESULTS: list_shape([each])})
        )

    def compile(self, settings: Mapping[str, Any]) -> Body:
        """The plan, its approval and its execution, and what it gives."""
        offers, contract = offers_of(self._outer, self._node.entries.get("tools")), self._contract()
        if not offers or contract is None:
            return Body((), None, None, frozenset())  # what is wrong is in the report
        self._check(contract)
        node, holder = self._node, self._holder(offers)
        nodes = step_nodes(self._outer.shared, holder, "'plan'", self._outer.visible, self._outer.depth + 1)
        fields = _fields(contract)
        written = object_shape({**dict.fromkeys(fields, ANY), STEPS: _PLAN})
        given: dict[str, Callable[[], Shape]] = {WRITE: lambda: written, STEPS: _executed}
        scope = self._outer.inside(holder, nodes, given)
        compiled = scope.compile_all()
        gives = {**{name: f"${{{WRITE}.{name}}}" for name in fields}, RESULTS: f"${{{STEPS}.{RESULTS}}}"}
        give = scope.values.template(made_mapping(node, {key: made_text(node, text) for key, text in gives.items()}))
        if isinstance(give, MappingTemplate):
            give = ChosenTemplate(give, frozenset(fields), (WRITE,))
        steps = tuple(_finished(step, offers, settings) for step in compiled)
        return Body(steps, give, None, scope.foreign())

    def _contract(self) -> Contract | None:
        return find_contract(self._outer.shared, self._node.entries["plan"], "prompt", quiet=True)

    def _check(self, contract: Contract) -> None:
        """That the prompt's output leaves room for the plan, and that somebody approves what has an approval's keys."""
        report, node = self._outer.shared.report, self._node
        for name in sorted({STEPS, RESULTS} & set(_fields(contract))):
            detail = f"The prompt's output has a field '{name}', which is what a plan calls its own."
            report.add(node.entries["plan"], detail, suggestion="Give the prompt's field another name.", code="name")
        for key in ("expire", "escalate"):
            if key in node.entries and "by" not in node.entries:
                detail = f"'{key}' is of an approval, and nobody is asked for one."
                report.add_key(node, key, detail, suggestion="Write 'by: role/…', or leave it out.", code="missing-key")

    def _holder(self, offers: Sequence[Offer]) -> Node:
        """Its steps, as a document would hold them."""
        node, entries = self._node, self._node.entries
        write = {"ai": entries["plan"], "on_error": made_text(node, "fail")}
        write |= {key: entries[key] for key in ("with", "retry") if key in entries}
        steps: dict[str, Node] = {WRITE: made_mapping(node, write)}
        execute = {
            "repeat": made_mapping(node, {CALL: self._call(), **{offer.step: offer.node for offer in offers}}),
            "until": made_text(node, f"index + 1 >= size({WRITE}.{STEPS})"),
            "start": made_mapping(node, {RESULTS: Node("list", node.path, node.line, node.column)}),
            "give": made_mapping(node, {RESULTS: made_text(node, f"${{last.{RESULTS}}}")}),
            "on_error": made_text(node, "fail"),
        }
        if "by" in entries:
            approval = {key: entries[key] for key in _REVIEW_KEYS if key in entries}
            approval |= {
                "review": made_text(node, QUESTION),
                "show": made_text(node, f"{WRITE}.{STEPS}"),
                "on_error": made_text(node, "fail"),
            }
            steps[APPROVAL] = made_mapping(node, approval)
            execute["requires"] = made_text(node, APPROVAL)
        steps[STEPS] = made_mapping(node, execute)
        return made_mapping(node, steps)

    def _call(self) -> Node:
        tool = made_text(self._node, f"${{{WRITE}.{STEPS}[index].tool}}")
        arguments = made_text(self._node, f"${{{WRITE}.{STEPS}[index].arguments}}")
        values = made_mapping(self._node, {"tool": tool, "arguments": arguments})
        return made_mapping(self._node, {"set": values})


_PLAN = list_shape([object_shape({"tool": STRING, "arguments": ANY})])


def _executed() -> Shape:
    return object_shape({RESULTS: LIST, "turns": INTEGER})


def _fields(contract: Contract) -> tuple[str, ...]:
    return tuple(cast("Mapping[str, Any]", contract.output_schema.get("properties") or {}))


def _finished(step: Step, offers: Sequence[Offer], settings: Mapping[str, Any]) -> Step:
    """A step of a plan, with what no document can say."""
    if step.name == WRITE:
        return replace(step, settings={**step.settings, **settings, "tools": settings_of(offers)})
    if step.name != STEPS:
        return step
    body = tuple(_call_of(inner) if inner.name == CALL else chosen_step(inner, offers) for inner in step.body)
    gathered = Gathered(Answered(tuple(offer.step for offer in offers)))
    return replace(step, body=body, give=gathered, settings={**step.settings, "max": settings.get("max_steps", 1)})


def _call_of(step: Step) -> Step:
    written = step.arguments["set"]
    assert isinstance(written, MappingTemplate)
    values = MappingTemplate(written.source, {**written.parts, "arguments": Resolved()}, written.shape)
    return replace(step, arguments={"set": values})


def is_planner(step: Step) -> bool:
    """Whether a step writes a plan."""
    return step.verb == "ai" and "max_steps" in step.settings
