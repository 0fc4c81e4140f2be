"""Which names stand where: the steps of a document, of a group's body, of an `on_error`, each a scope of its own."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any, Protocol, cast

from signoff.workflows.documents import Node
from signoff.workflows.expressions import ExpressionCompiler
from signoff.workflows.model import GROUP_VERBS, Contract, Contracts, Expression, Step, Verb
from signoff.workflows.report import Report
from signoff.workflows.shapes import Shape
from signoff.workflows.values import ValueCompiler
from signoff.workflows.verbs import VERBS

MAX_STEPS = 500
"""Steps of one workflow, those of groups and fallbacks included."""

MAX_GROUP_NESTING = 5
"""Groups (and the steps of an `on_error`) inside each other."""

_CEL_WORDS = "as break const continue else false for function if import in let loop namespace null package return true"
_CEL_NAMES = (
    "bool bytes double duration dyn has int list map math null_type optional size string strings timestamp type"
)
GIVEN = "given"
"""What the parameters of a fragment are called inside it."""

RESERVED_NAMES = frozenset(
    f"{_CEL_WORDS} {_CEL_NAMES} uint var void while input result undo index last item {GIVEN}".split()
)
"""Names that CEL or the language itself uses."""

_STEP_NAME = re.compile(r"[a-z][a-z0-9_]{0,63}")
_NAME_HINT = "Write lower case letters, digits and '_', beginning with a letter."

Shapes = Mapping[str, Callable[[], Shape]]


@dataclass(slots=True)
class Tally:
    """A count that the scopes of a document and of the fragments that it uses have together."""

    count: int = 0


@dataclass(slots=True)
class Shared:
    """What all scopes of one document have together.

    Attributes:
        named: the contracts that the document names, by kind and name.
        fragments: the documents of the fragments that it uses, by name.
        steps: how many steps there are so far.
        inside: the file of the fragment that is compiled; empty of the document itself.
        defaults: puts the defaults of its verb among a step's keys.
    """

    contracts: Contracts
    report: Report
    named: dict[tuple[str, str], Contract] = field(default_factory=dict[tuple[str, str], Contract])
    fragments: dict[str, Any] = field(default_factory=dict[str, Any])
    steps: Tally = field(default_factory=Tally)
    inside: str = ""
    defaults: Callable[[Node, Verb | None], Node] = lambda node, verb: node  # noqa: ARG005  (nothing to put)


class StepScope(Protocol):
    """The compiler of the steps of one scope, as the parts of a step see it.

    Attributes:
        shared: what all scopes of the document share.
        values: compiles expressions over what is visible here.
        visible: the names of all steps that can be seen: its own, and those of enclosing scopes.
        variables: the shapes of everything that can be seen.
        depth: how many groups it is in.
    """

    shared: Shared
    values: ValueCompiler
    visible: frozenset[str]
    variables: Shapes
    depth: int

    def inside(self, holder: Node, nodes: Mapping[str, Node], given: Shapes) -> StepScope:
        """A scope in this one, with variables of its own."""
        ...

    def arguments(self, name: str) -> Mapping[str, Expression]:
        """The compiled arguments of a step of this scope."""
        ...

    def compile_all(self) -> tuple[Step, ...]:
        """Its steps, in document order."""
        ...

    def foreign(self) -> frozenset[str]:
        """What its steps name of enclosing scopes; known once they are compiled."""
        ...


def is_step_name(name: str) -> bool:
    """Whether a step, or an item, may be called so."""
    return bool(_STEP_NAME.fullmatch(name)) and name not in RESERVED_NAMES


def step_nodes(shared: Shared, holder: Node, what: str, visible: frozenset[str], depth: int) -> dict[str, Node]:
    """The steps that a mapping of the document holds, by name; what is wrong with their names is reported.

    Args:
        shared: of the document.
        holder: the mapping.
        what: what it is called, for people, such as `'steps'`.
        visible: names that enclosing scopes have taken.
        depth: how many groups the scope is in.
    """
    report = shared.report
    if not report.mapping(holder, what):
        return {}
    if not holder.entries:
        report.add(holder, f"{what} holds at least one step.", code="missing-key")
    if depth > MAX_GROUP_NESTING:
        hint = "Move the inner ones into a workflow of their own, and `call` it."
        report.add(holder, f"Groups are nested more than {MAX_GROUP_NESTING} deep.", suggestion=hint, code="limit")
        return {}
    before = shared.steps.count
    shared.steps.count += len(holder.entries)
    if shared.steps.count > MAX_STEPS:
        if before <= MAX_STEPS:
            hint = "Split the workflow: a step can `call` another one."
            report.add(holder, f"A workflow has at most {MAX_STEPS} steps.", suggestion=hint, code="limit")
        return {}
    found: dict[str, Node] = {}
    for name, node in holder.entries.items():
        if not is_step_name(name):
            taken = name in RESERVED_NAMES
            why = "is a word of the language, so it cannot be a step's name" if taken else "cannot be a step's name"
            hint = f"Choose another, such as '{name}_1'." if taken else _NAME_HINT
            report.add_key(holder, name, f"'{name}' {why}.", suggestion=hint, code="name")
        elif name in visible:
            detail = f"'{name}' is the name of a step outside of this group already."
            report.add_key(holder, name, detail, suggestion="Give one of them another name.", code="name")
        elif report.mapping(node, "A step"):
            found[name] = shared.defaults(node, verb_of(node))
    return found


def body_node(node: Node) -> Node | None:
    """The mapping that holds the steps of a group; none of a step that is no group, or has none."""
    verb = verb_of(node)
    if verb not in GROUP_VERBS or verb in ("use", "agent", "plan"):
        return None
    return node.entries.get("steps") if verb == "for" else node.entries[verb]


def verb_of(node: Node) -> Verb | None:
    """The verb of a step; none where it has none, or several."""
    verbs: list[Verb] = [cast("Verb", key) for key in node.entries if key in VERBS]
    return verbs[0] if len(verbs) == 1 else None


def hidden_names(nodes: Mapping[str, Node]) -> dict[str, str]:
    """Names of steps that cannot be seen from a scope, and the group of it that each is in: for hints."""
    found: dict[str, str] = {}

    def collect(node: Node, group: str, depth: int) -> None:
        body = body_node(node)
        if body is None or depth > MAX_GROUP_NESTING:
            return
        for name, inner in body.entries.items():
            found.setdefault(name, group)
            collect(inner, group, depth + 1)

    for name, node in nodes.items():
        collect(node, name, 0)
    return found


def values_over(shared: Shared, variables: Shapes, visible: frozenset[str], hidden: Mapping[str, str]) -> ValueCompiler:
    """What compiles the values of a scope."""
    return ValueCompiler(ExpressionCompiler(variables, visible, hidden), shared.report)


def roots_of(*expressions: Expression | None) -> set[str]:
    """Everything that expressions name; an expression may be none."""
    return {read.root for expression in expressions if expression is not None for read in expression.reads}
