"""Compiles groups: the scope of a body, what it is given, what the group gives, and when a `repeat` is over."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import Literal

from signoff.core.errors import did_you_mean
from signoff.core.values import value
from signoff.workflows.documents import Node
from signoff.workflows.expressions import CelExpression
from signoff.workflows.model import Expression, Step, Verb
from signoff.workflows.reads import STATUS_FIELDS
from signoff.workflows.scopes import StepScope, body_node, is_step_name, roots_of, step_nodes
from signoff.workflows.settings import DEFAULT_ITEM_NAME
from signoff.workflows.shapes import ANY, INTEGER, LIST, NULL, STRING, Shape, list_shape, object_shape
from signoff.workflows.values import shape_of

FAILED_ITEM = object_shape({"index": INTEGER, "error": object_shape({"kind": STRING, "detail": STRING})})
"""An entry of `failed` in what a `for` gives."""

NOTHING = object_shape({})


@value
class Body:
    """A compiled group, besides what every step has.

    Attributes:
        steps: of its body.
        give: its result, per iteration.
        until: of `repeat`.
        names: everything that it names outside of itself.
    """

    steps: tuple[Step, ...]
    give: Expression | None
    until: Expression | None
    names: frozenset[str]


class GroupCompiler:
    """Compiles one group, each part once: its shape may be asked for before the group itself.

    Args:
        outer: the scope that the group stands in.
        name: of the group.
        node: the group in the document.
        verb: `for`, `repeat` or `do`.
    """

    def __init__(self, outer: StepScope, name: str, node: Node, verb: Verb) -> None:
        self._outer = outer
        self._name = name
        self._node = node
        self._verb = verb
        self._report = outer.shared.report
        holder = body_node(node) or replace(node, kind="mapping", entries={}, keys={})
        what = "'steps'" if verb == "for" else f"'{verb}'"
        given = self._given(holder)
        # A missing body is reported as a missing key.
        there = body_node(node) is not None
        self._nodes = step_nodes(outer.shared, holder, what, outer.visible, outer.depth + 1) if there else {}
        self._given_names = frozenset(given)
        self._scope = outer.inside(holder, self._nodes, given)
        self._give: Expression | None = None
        self._give_state: Literal["unknown", "asked", "known"] = "unknown"

    def compile(self) -> Body:
        """The body, its result and its end."""
        self._check_renew()
        steps = self._scope.compile_all()
        give = self.give()
        until = self._until()
        own = self._nodes.keys() | self._given_names
        names = self._scope.foreign() | (roots_of(give, until) - own)
        return Body(steps, give, until, names)

    def give(self) -> Expression | None:
        """What the body gives: a mapping; none where nothing is written."""
        if self._give_state == "unknown":
            self._give_state = "asked"  # compiling it may lead back here; a cycle is reported as one
            node = self._node.entries.get("give")
            if node is not None and self._report.mapping(node, "'give'"):
                self._check_reserved(node)
                self._give = self._scope.values.template(node)
                if self._verb == "repeat":
                    self._check_start(node, self._give)
            self._give_state = "known"
        return self._give

    def shape(self) -> Shape:
        """What the group gives, without its status."""
        give = self.give()
        if self._give_state == "asked":
            return ANY
        each = NOTHING if give is None else shape_of(give)
        if self._verb == "for":
            collected = self._node.entries.get("failures")
            item = each.union(NULL) if collected is not None and collected.value == "collect" else each
            failed = replace(LIST, items=FAILED_ITEM)
            return object_shape({"items": list_shape([item]), "count": INTEGER, "failed": failed})
        return each.with_fields({"turns": INTEGER}) if self._verb == "repeat" else each

    # --- what the body is given ------------------------------------------------------------------------------------

    def _given(self, holder: Node) -> dict[str, Callable[[], Shape]]:
        if self._verb == "for":
            return {self._item_name(holder): self._item, "index": _index}
        return {"last": self._last, "index": _index} if self._verb == "repeat" else {}

    def _item_name(self, holder: Node) -> str:
        node = self._node.entries.get("as")
        name = DEFAULT_ITEM_NAME if node is None else node.text or DEFAULT_ITEM_NAME
        taken = name in self._outer.visible or (
            name in self._outer.variables and name not in ("index", "last", "error")
        )
        hint = "Write another name in 'as'."
        if name != DEFAULT_ITEM_NAME and not is_step_name(name) and node is not None:
            self._report.add(node, f"'{name[:80]}' cannot be an item's name.", suggestion=hint, code="name")
            return DEFAULT_ITEM_NAME
        if taken or name in holder.entries:
            detail = f"The item of '{self._name}' would be called '{name}', which is the name of something else here."
            self._report.add(node or self._node, detail, suggestion=hint, code="name")
        return name

    def _item(self) -> Shape:
        items = self._outer.arguments(self._name).get("items")
        return ANY if items is None or not shape_of(items).is_only("array") else shape_of(items).item()

    def _last(self) -> Shape:
        """The fields that are written in `start` and `give`, typed by `start`; the first turn may lack the others."""
        start = self._start()
        give = self._node.entries.get("give")
        fields: dict[str, Shape] = {} if give is None else dict.fromkeys(give.entries, ANY)
        for name in start.names:
            fields[name] = replace(start.get(name) or ANY, constants=None)
        return replace(object_shape(fields), required=frozenset(start.names))

    def _start(self) -> Shape:
        start = self._outer.arguments(self._name).get("start")
        return NOTHING if start is None else shape_of(start)

    # --- checks ----------------------------------------------------------------------------------------------------

    def _check_renew(self) -> None:
        """Only the workflow's own steps go on in a new run: of a group's step the rest of the group would be lost."""
        if "renew" in self._node.entries and self._outer.depth:
            detail = "A 'repeat' inside another step cannot go on in a new run."
            hint = "Leave out 'renew', or move it into a workflow of its own and `call` that."
            self._report.add_key(self._node, "renew", detail, suggestion=hint, code="value")

    def _until(self) -> CelExpression | None:
        node = self._node.entries.get("until")
        return None if node is None or self._verb != "repeat" else self._scope.values.condition(node)

    def _check_reserved(self, node: Node) -> None:
        if self._verb == "for":
            return
        reserved = (*STATUS_FIELDS, "turns") if self._verb == "repeat" else STATUS_FIELDS
        for name in node.entries:
            if name in reserved:
                detail = f"'{name}' is a field that every such step has already."
                self._report.add_key(node, name, detail, code="name")

    def _check_start(self, node: Node, give: Expression) -> None:
        """What a turn gives is what the next one reads: the types agree, and no field of `start` is for nothing."""
        start, given = self._start(), shape_of(give)
        written = self._node.entries.get("start")
        for name in start.names if written is not None and written.kind == "mapping" else ():
            first, later = start.get(name), given.get(name)
            if first is None or written is None or name not in written.entries:
                continue
            if later is None:
                hint = did_you_mean(name, given.names) or "Add it to 'give', or take it out."
                detail = f"'{name}' is there in the first turn only: 'give' does not name it."
                self._report.add_key(written, name, detail, suggestion=hint, code="unknown-name")
            elif not first.may_be(later.kinds):
                detail = f"'last.{name}' is {first} in the first turn, and {later} in the next."
                self._report.add(node.entries[name], detail, code="type")


def _index() -> Shape:
    return INTEGER
