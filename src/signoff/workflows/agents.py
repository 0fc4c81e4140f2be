"""Compiles an `agent`: turns of a model and the calls that it chooses, made of the steps that there are.

An agent is a loop whose body the language already has. Each turn is an `ai` step that may choose calls, and the calls
are a `for` over `tool` and `retrieve` steps, of which each call runs the one that it names. So whatever holds for those
steps (policy, quotas, effects, recovery, labels, what data flow proves of them) holds for what an agent does.

    research[0]/turn                        what the model says: calls, or its answer
    research[0]/calls[0]/call_shop_get_order
    research[1]/turn                        sees what the calls gave, as `last`
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from typing import Any

from signoff.workflows.bodies import Body
from signoff.workflows.contracts import find_contract
from signoff.workflows.documents import Node
from signoff.workflows.model import Expression, Step
from signoff.workflows.offers import (
    CALL,
    Answered,
    Offer,
    chosen_step,
    made_mapping,
    made_scalar,
    made_text,
    offers_of,
    settings_of,
)
from signoff.workflows.scopes import StepScope, step_nodes
from signoff.workflows.shapes import ANY, BOOLEAN, INTEGER, STRING, Shape, list_shape, object_shape, shape_of_schema

TURN = "turn"
"""The step of each turn that asks the model."""
CALLS = "calls"
"""The step of each turn that makes the calls."""
TURN_SHAPE = object_shape(
    {
        "calls": list_shape([object_shape({"id": STRING, "tool": STRING, "arguments": ANY})]),
        "output": ANY,
        "over": BOOLEAN,
    }
)
"""What is read of a turn: the calls that it chose, or its answer."""


class AgentCompiler:
    """Compiles one agent.

    Args:
        outer: the scope that it stands in.
        node: the step in the document.
    """

    def __init__(self, outer: StepScope, node: Node) -> None:
        self._outer = outer
        self._node = node

    def shape(self) -> Shape:
        """What it gives: the answer that its prompt's contract describes."""
        contract = find_contract(self._outer.shared, self._node.entries["agent"], "prompt", quiet=True)
        return ANY if contract is None else shape_of_schema(contract.output_schema)

    def compile(self, settings: Mapping[str, Any]) -> Body:
        """Its turns, what each gives to the next, and when it is over."""
        offers = offers_of(self._outer, self._node.entries.get("tools"))
        if not offers:
            return Body((), None, None, frozenset())  # what is wrong is in the report
        node, holder = self._node, self._holder(offers)
        nodes = step_nodes(self._outer.shared, holder, "'agent'", self._outer.visible, self._outer.depth + 1)
        given: dict[str, Callable[[], Shape]] = {TURN: _turn, "last": _any, "index": _index}
        scope = self._outer.inside(holder, nodes, given)
        compiled = scope.compile_all()
        gives = {"output": f"${{{TURN}.output}}", "results": f"${{{CALLS}.items}}", "failed": f"${{{CALLS}.failed}}"}
        give = scope.values.template(made_mapping(node, {key: made_text(node, text) for key, text in gives.items()}))
        until = scope.values.condition(made_text(node, f"{TURN}.over"))
        last = scope.values.template(made_text(node, "${last}"))
        steps = tuple(_finished(step, offers, settings, last) for step in compiled)
        return Body(steps, give, until, scope.foreign())

    def _holder(self, offers: Sequence[Offer]) -> Node:
        """The steps of a turn, as a document would hold them."""
        node, entries = self._node, self._node.entries
        turn = {"ai": entries["agent"], "on_error": made_text(node, "fail")}
        turn |= {key: entries[key] for key in ("with", "retry") if key in entries}
        calls = {
            "for": made_text(node, f"${{{TURN}.{CALLS}}}"),
            "as": made_text(node, CALL),
            "at_once": made_scalar(node, 1),
            "failures": made_text(node, "collect"),
            "on_error": made_text(node, "fail"),
            "give": made_mapping(node, {}),
            "steps": made_mapping(node, {offer.step: offer.node for offer in offers}),
        }
        return made_mapping(node, {TURN: made_mapping(node, turn), CALLS: made_mapping(node, calls)})


def _finished(step: Step, offers: Sequence[Offer], settings: Mapping[str, Any], last: Expression) -> Step:
    """A step of a turn, with what no document can say."""
    if step.name == TURN:
        bounds = {**step.settings, **settings, "tools": settings_of(offers)}
        return replace(step, arguments={**step.arguments, "last": last}, settings=bounds)
    body = tuple(chosen_step(inner, offers) for inner in step.body)
    bounds = {**step.settings, "max": settings.get("max_calls", 1)}
    return replace(step, body=body, give=Answered(tuple(offer.step for offer in offers)), settings=bounds)


def is_turn(step: Step) -> bool:
    """Whether a step is an agent's turn."""
    return step.verb == "ai" and "max_turns" in step.settings


def _turn() -> Shape:
    return TURN_SHAPE


def _any() -> Shape:
    return ANY


def _index() -> Shape:
    return INTEGER
