"""Compiles a `use`: its fragment's steps as the body of a `do`, in a scope that sees nothing but its parameters."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import replace

from signoff.workflows.bodies import NOTHING, Body
from signoff.workflows.documents import Node
from signoff.workflows.fragments import Fragment
from signoff.workflows.model import Contract, Expression
from signoff.workflows.reads import STATUS_FIELDS
from signoff.workflows.report import Report
from signoff.workflows.scopes import GIVEN, Shapes, Shared, StepScope, step_nodes
from signoff.workflows.shapes import ANY, Shape, object_shape, shape_of_schema
from signoff.workflows.templates import Constant, MappingTemplate
from signoff.workflows.values import shape_of

Isolated = Callable[[Shared, Node, Mapping[str, Node], Shapes, int], StepScope]
"""Makes a scope of its own: shared, holder, steps, what it is given, how deep it is."""


class FragmentBody:
    """The steps of a fragment and what it gives, compiled in a scope of their own.

    Args:
        shared: of the fragment's document: its report names the fragment's file.
        fragment: which.
        isolated: makes the scope.
        depth: how many groups it is in.
    """

    def __init__(self, shared: Shared, fragment: Fragment, isolated: Isolated, depth: int) -> None:
        self.shared = shared
        self._give_node = fragment.node.entries.get("give")
        self._give: Expression | None = None
        self._known = False
        holder = fragment.node.entries["steps"]
        whole = shape_of_schema(fragment.schema)
        parameters = object_shape({name: whole.get(name) or ANY for name in whole.names})
        nodes = step_nodes(shared, holder, "'steps'", frozenset(), depth)
        self._scope = isolated(shared, holder, nodes, {GIVEN: lambda: parameters}, depth)

    def compile(self) -> Body:
        """The steps and the result."""
        steps = self._scope.compile_all()
        return Body(steps, self.give(), None, frozenset())

    def give(self) -> Expression | None:
        """What the fragment gives; none where nothing is written."""
        node, report = self._give_node, self.shared.report
        if not self._known:
            self._known = True
            if node is not None and report.mapping(node, "'give'"):
                for name in node.entries:
                    if name in STATUS_FIELDS:
                        detail = f"'{name}' is a field that every such step has already."
                        report.add_key(node, name, detail, code="name")
                self._give = self._scope.values.template(node)
        return self._give


class UseCompiler:
    """Compiles one use of a fragment (as `GroupCompiler` does a group).

    Args:
        outer: the scope that the use stands in.
        node: the use in the document.
        isolated: makes the scope of the fragment's steps.
    """

    def __init__(self, outer: StepScope, node: Node, isolated: Isolated) -> None:
        self._report = outer.shared.report
        self._node = node
        self._fragment = usable(outer.shared, node)
        self._body: FragmentBody | None = None
        if self._fragment is not None:
            shared = replace(outer.shared, report=Report(self._fragment.file), inside=self._fragment.file)
            shared.fragments[self._fragment.name] = self._fragment.node.plain()
            self._body = FragmentBody(shared, self._fragment, isolated, outer.depth + 1)

    def compile(self) -> Body:
        """The fragment's steps and what it gives; what is wrong with them here is reported at the use as well."""
        if self._body is None or self._fragment is None:
            return Body((), None, None, frozenset())
        body = self._body.compile()
        for problem in self._body.shared.report.problems:
            place = f"{problem.file}:{problem.line}:{problem.column}"
            detail = f"In the fragment '{self._fragment.name}', {place}: {problem.detail}"
            self._report.add(self._node.entries["use"], detail, code=problem.code or "invalid")
        return body

    def shape(self) -> Shape:
        """What the use gives, without its status."""
        if self._body is None:
            return ANY
        give = self._body.give()
        return NOTHING if give is None else shape_of(give)


def usable(shared: Shared, node: Node, *, quiet: bool = True) -> Fragment | None:
    """The fragment that a step uses; none where there is none, or it is broken, which is reported unless quiet."""
    name = node.entries["use"].text or ""
    fragment = shared.contracts.fragments.get(name)
    if fragment is None or fragment.broken is None:
        if fragment is None and not quiet and name:
            shared.report.unknown(node.entries["use"], "fragment", name, list(shared.contracts.fragments))
        return fragment
    if not quiet:
        broken = fragment.broken
        detail = f"The fragment '{name}' is broken: {broken.file}:{broken.line}:{broken.column}."
        shared.report.add(node.entries["use"], detail, suggestion="Mend it there.", code="fragment")
    return None


def use_contract(fragment: Fragment) -> Contract:
    """What a use takes; what it gives is known once it is compiled."""
    return Contract(fragment.schema, {})


def with_defaults(fragment: Fragment, given: Expression) -> Expression:
    """The arguments of a use, with the defaults of parameters that it leaves out."""
    parts = dict(given.parts)
    missing = {name: value for name, value in fragment.defaults.items() if name not in parts}
    if not missing:
        return given
    parts |= {name: Constant(value, str(value)) for name, value in missing.items()}
    return MappingTemplate(given.source, parts, object_shape({name: shape_of(part) for name, part in parts.items()}))
