"""Compiles the steps of one scope: of a document, of a group's body, or of an `on_error`."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from functools import partial
from typing import Any

from signoff.core.errors import did_you_mean
from signoff.workflows.agents import AgentCompiler
from signoff.workflows.arguments import check_fields
from signoff.workflows.bodies import Body, GroupCompiler
from signoff.workflows.contracts import check_arguments, compile_target, contract_of, find_contract
from signoff.workflows.documents import Node
from signoff.workflows.expressions import CelExpression
from signoff.workflows.failures import MAX_BACKOFF, MAX_RETRIES, compile_on_error, compile_retry
from signoff.workflows.graph import find_cycle
from signoff.workflows.header import compile_duration
from signoff.workflows.kinds import check_labels
from signoff.workflows.model import GROUP_VERBS, Contract, Expression, Step, Verb
from signoff.workflows.outputs import output_shape, status_shapes
from signoff.workflows.plans import PlanCompiler
from signoff.workflows.possible import certain_reads, check_condition, check_never
from signoff.workflows.reads import STATUS_FIELDS
from signoff.workflows.scopes import Shapes, Shared, hidden_names, roots_of, values_over, verb_of
from signoff.workflows.settings import compile_settings
from signoff.workflows.shapes import ANY, Shape, object_shape, shape_of_schema
from signoff.workflows.templates import Constant, ShowTemplate
from signoff.workflows.uses import UseCompiler, usable, with_defaults
from signoff.workflows.values import ValueCompiler, shape_of
from signoff.workflows.verbs import VERBS, VerbKeys
from signoff.workflows.waits import wait_arguments, wait_settings

__all__ = ["MAX_BACKOFF", "MAX_RETRIES", "StepCompiler"]

MADE_OF_STEPS: Mapping[Verb, type[AgentCompiler | PlanCompiler]] = {"agent": AgentCompiler, "plan": PlanCompiler}
"""Verbs whose steps are not the author's, but follow from what the author wrote."""

EMPTY = Constant({}, "{}", object_shape({}))


class StepCompiler:
    """Compiles the steps of one scope, each once, whatever the order they are asked for in (a `StepScope`).

    Args:
        holder: the mapping of the document that holds the steps.
        nodes: the steps by name.
        shared: what all scopes of the document share.
        given: the shapes of what the scope has besides steps: `input` of the document, the item of a group.
        outer: the scope around it; none of the document's own steps.
        depth: how many groups it is in, where it has no scope around it.

    Attributes:
        hidden: names of steps inside groups, which cannot be seen here, and the group of each.
        never: its steps that can never be done; known once they are compiled.
    """

    def __init__(  # noqa: PLR0917  (a scope has so many parts)
        self,
        holder: Node,
        nodes: Mapping[str, Node],
        shared: Shared,
        given: Shapes,
        outer: StepCompiler | None = None,
        depth: int = 0,
    ) -> None:
        self.shared = shared
        self.depth = depth if outer is None else outer.depth + 1
        around: tuple[StepCompiler, ...] = () if outer is None else (outer,)
        self.visible: frozenset[str] = frozenset(nodes).union(*(scope.visible for scope in around))
        self.variables: Shapes = {
            **{name: shape for scope in around for name, shape in scope.variables.items()},
            **{name: partial(self.shape, name) for name in nodes},
            **given,
        }
        self.hidden: dict[str, str] = hidden_names(nodes)
        for scope in around:
            self.hidden = {**scope.hidden, **self.hidden}
        self.values = values_over(shared, self.variables, self.visible, self.hidden)
        self._holder = holder
        self._nodes = nodes
        self._own = frozenset(nodes) | frozenset(given)
        self._report = shared.report
        self._shapes: dict[str, Shape] = {}
        self._arguments: dict[str, dict[str, Expression]] = {}
        self._groups: dict[str, GroupCompiler | UseCompiler] = {}
        self._named: set[str] = set()
        self.never: frozenset[str] = frozenset()

    def inside(self, holder: Node, nodes: Mapping[str, Node], given: Shapes) -> StepCompiler:
        """A scope in this one, with variables of its own."""
        return StepCompiler(holder, nodes, self.shared, given, self)

    @staticmethod
    def alone(shared: Shared, holder: Node, nodes: Mapping[str, Node], given: Shapes, depth: int) -> StepCompiler:
        """A scope that sees nothing around it: of a fragment's steps."""
        return StepCompiler(holder, nodes, shared, given, depth=depth)

    def foreign(self) -> frozenset[str]:
        """What its steps name of enclosing scopes; known once they are compiled."""
        return frozenset(self._named - self._own)

    def compile_all(self) -> tuple[Step, ...]:
        """Its steps, in document order; reports a cycle among them."""
        steps = tuple(self.compile(name) for name in self._nodes)
        cycle = find_cycle({step.name: sorted(step.waits_for) for step in steps})
        if cycle is not None:
            path = " → ".join([*cycle, cycle[0]])
            alone = len(cycle) == 1
            detail = f"'{cycle[0]}' waits for itself." if alone else f"These steps wait for each other: {path}."
            hint = "Take one of the references out."
            self._report.add_key(self._holder, cycle[0], detail, suggestion=hint, code="cycle")
        else:
            self.never = check_never(self._report, self._nodes, steps)
        return steps

    def shape(self, name: str) -> Shape:
        """What is known of a step's value, with `done` and `result` among its fields."""
        if name not in self._shapes:
            self._shapes[name] = ANY  # what a cycle sees; it is reported as one
            verb = verb_of(self._nodes[name])
            data = ANY if verb is None else self._data_shape(name, verb)
            self._shapes[name] = ANY if verb is None or data == ANY else data.with_fields(status_shapes(verb))
        return self._shapes[name]

    def _data_shape(self, name: str, verb: Verb) -> Shape:
        if verb in MADE_OF_STEPS:
            return MADE_OF_STEPS[verb](self, self._nodes[name]).shape()
        if verb in GROUP_VERBS:
            return self._group(name, verb).shape()
        contract = contract_of(self.shared, self._nodes[name], verb, quiet=True)
        return output_shape(self._nodes[name], verb, contract, self.arguments(name))

    def _group(self, name: str, verb: Verb) -> GroupCompiler | UseCompiler:
        if name not in self._groups:
            node = self._nodes[name]
            used = verb == "use"
            self._groups[name] = UseCompiler(self, node, self.alone) if used else GroupCompiler(self, name, node, verb)
        return self._groups[name]

    def arguments(self, name: str) -> dict[str, Expression]:
        """The compiled arguments of a step."""
        if name not in self._arguments:
            self._arguments[name] = {}
            node = self._nodes[name]
            verb = verb_of(node)
            if verb is not None:
                with self.values.assuming(node.entries.get("when")):
                    self._arguments[name] = self._compile_arguments(node, verb, VERBS[verb])
                fragment = usable(self.shared, node) if verb == "use" else None
                if fragment is not None:
                    self._arguments[name]["with"] = with_defaults(fragment, self._arguments[name]["with"])
        return self._arguments[name]

    def compile(self, name: str) -> Step:
        """One step; what is wrong with it is in the report."""
        node, report = self._nodes[name], self._report
        verb = self._check_verb(name, node)
        if verb is None:
            return Step(name, "set", "", line=node.line)
        keys, entries = VERBS[verb], node.entries
        self._check_keys(node, verb, keys)
        target = compile_target(report, node, verb, keys)
        contract = contract_of(self.shared, node, verb)
        arguments = self.arguments(name)
        if contract is not None and verb not in MADE_OF_STEPS:
            check_arguments(report, node, verb, arguments, contract)
        settings = compile_settings(report, node, keys, arguments)
        if verb == "model":
            check_labels(report, node)
        when = self._condition(entries.get("when"))
        with self.values.assuming(entries.get("when")):
            needed = self._condition(entries.get("needed"))
            asserts = self._asserts(entries.get("assert"))
            once = self._once(node, verb, contract)
        expected = self._expected(name, verb, contract) if "on_error" in entries else None
        on_error = compile_on_error(self, entries.get("on_error"), expected)
        undo = self._undo(name, entries.get("undo"), contract) if verb == "tool" else None
        requires, after = (self._names(name, key, entries.get(key)) for key in ("requires", "after"))
        if when is not None:
            self._check_possible(entries["when"], when, certain_reads(*arguments.values(), needed, *asserts), requires)
        body = self._body(name, verb, settings)
        named = roots_of(*arguments.values(), when, needed, *asserts, once)
        named |= roots_of(*(() if undo is None else undo.arguments.values()))
        named |= {*requires, *after, *on_error.names, *body.names}
        self._named |= named
        timeout = entries.get("timeout")
        return Step(
            name=name,
            verb="do" if verb == "use" else verb,
            target=target,
            arguments=arguments,
            settings=wait_settings(report, node, settings) if verb == "wait" else settings,
            when=when,
            needed=needed if verb == "review" else None,
            requires=requires,
            after=after,
            asserts=asserts,
            once=once,
            retry=compile_retry(report, entries.get("retry")),
            timeout_s=None if timeout is None else compile_duration(report, timeout),
            undo=undo,
            on_error=on_error.value,
            waits_for=frozenset(named & self._nodes.keys()),
            line=node.line,
            error_mode=on_error.mode,
            fallback=on_error.steps,
            fallback_give=on_error.give,
            reads_error=on_error.reads_error,
            body=body.steps,
            give=body.give,
            until=body.until,
            file=self.shared.inside,
        )

    def _body(self, name: str, verb: Verb, settings: Mapping[str, Any]) -> Body:
        """What is inside a group, an agent or a plan; nothing of other steps."""
        if verb in MADE_OF_STEPS:
            return MADE_OF_STEPS[verb](self, self._nodes[name]).compile(settings)
        return self._group(name, verb).compile() if verb in GROUP_VERBS else Body((), None, None, frozenset())

    def _once(self, node: Node, verb: Verb, contract: Contract | None) -> Expression | None:
        """The business key of an effect; a tool that only reads has nothing that could happen twice."""
        if "once" not in node.entries or verb != "tool":
            return None
        if contract is not None and not contract.effect:
            hint = "Leave it out; or, if the tool changes something, write 'effect: write' in its contract."
            self._report.add_key(
                node, "once", "'once' does nothing here: the tool only reads.", suggestion=hint, code="unknown-key"
            )
        return self.values.key(node.entries["once"])

    # --- the verb ------------------------------------------------------------------------------------------------

    def _check_verb(self, name: str, node: Node) -> Verb | None:
        verb = verb_of(node)
        if verb is not None:
            return verb
        verbs = [key for key in node.entries if key in VERBS]
        if verbs:
            detail = f"A step has one verb, and '{name}' has {' and '.join(verbs)}."
            self._report.add_key(node, verbs[1], detail, suggestion="Make two steps of it.", code="verb")
            return None
        near = [hint for key in node.entries if (hint := did_you_mean(key, list(VERBS))) is not None]
        hint = near[0] if near else f"Add one of {', '.join(VERBS)}."
        self._report.add(node, f"The step '{name}' has no verb.", suggestion=hint, code="verb")
        return None

    def _check_keys(self, node: Node, verb: Verb, keys: VerbKeys) -> None:
        known = (verb, *keys.keys)
        if verb == "emit" and "once" in node.entries:
            hint = (
                "Leave it out: a step publishes its event once, whatever breaks. Put a business key into the payload."
            )
            self._report.add_key(
                node, "once", "'once' is not a key of a step with 'emit'.", suggestion=hint, code="unknown-key"
            )
            known = (*known, "once")
        self._report.unknown_keys(node, known, f"a step with '{verb}'")
        for key in keys.required:
            if key not in node.entries:
                self._report.add(node, f"'{key}' is missing: a step with '{verb}' needs it.", code="missing-key")
        if "about" in node.entries:
            self._report.text(node.entries["about"], "'about'")

    # --- data ----------------------------------------------------------------------------------------------------

    def _compile_arguments(self, node: Node, verb: Verb, keys: VerbKeys) -> dict[str, Expression]:
        entries = node.entries
        arguments: dict[str, Expression] = {}
        if keys.target == "values":
            arguments["set"] = self._mapping(entries[verb], "'set'")
        elif keys.target == "wait":
            arguments |= wait_arguments(self._report, self.values, entries[verb])
        elif keys.target == "items":
            arguments["items"] = self._items(entries[verb])
        elif verb == "repeat" and "start" in entries:
            arguments["start"] = self._mapping(entries["start"], "'start'")
        for key in keys.mappings:
            arguments[key] = self._mapping(entries[key], f"'{key}'") if key in entries else EMPTY
        for key in keys.values:
            if key in entries:
                arguments[key] = self.values.template(entries[key])
        if verb == "review":
            shown = entries.get("show")
            arguments["show"] = ShowTemplate("", ()) if shown is None else self.values.show(shown)
        for key in ("set", "propose"):
            if key in arguments:
                self._check_reserved(entries.get(key))
        return arguments

    def _items(self, node: Node) -> Expression:
        items = self.values.template(node)
        if not shape_of(items).may_be(("array",)):
            detail = f"'for' goes through a list, and this is {shape_of(items)}."
            self._report.add(node, detail, suggestion='Write one, such as "${order.lines}".', code="type")
        return items

    def _mapping(self, node: Node, what: str) -> Expression:
        template = self.values.template(node)
        if not shape_of(template).may_be(("object",)):
            self._report.add(node, f"{what} is a mapping of names to values.", code="type")
        return template

    def _check_reserved(self, node: Node | None) -> None:
        for name in () if node is None else node.entries:
            if name in (*STATUS_FIELDS, "comment", "decided_by") and node is not None:
                self._report.add_key(node, name, f"'{name}' is a field that every such step has already.", code="name")

    # --- conditions and control ------------------------------------------------------------------------------------

    def _condition(self, node: Node | None) -> CelExpression | None:
        return None if node is None else self.values.condition(node)

    def _check_possible(self, node: Node, when: Expression, reads: Sequence[str], requires: Sequence[str]) -> None:
        """That the condition does not rule out what the step needs (rules 3 and 5)."""
        named = {read.root for read in when.reads if read.root in self.visible and read.status_only}
        ends: dict[str, frozenset[str]] = {}
        for name in named:
            result = self.variables[name]().get("result")
            if result is not None and result.constants is not None:
                ends[name] = result.constants
        if ends:
            asked = self.values.ends_asked_for(node, ends)
            check_condition(self._report, node, asked, ends, reads, requires)

    def _asserts(self, node: Node | None) -> tuple[Expression, ...]:
        nodes = () if node is None else node.items if node.kind == "list" else (node,)
        return tuple(compiled for item in nodes if (compiled := self.values.condition(item)) is not None)

    def _names(self, step: str, key: str, node: Node | None) -> tuple[str, ...]:
        found: list[str] = []
        for name, item in [] if node is None else self._report.texts(node, f"'{key}'"):
            if name == step:
                self._report.add(item, f"A step cannot name itself in '{key}'.", code="cycle")
            elif name == "result" or (name in self.variables and name not in self.visible):
                self._report.add(item, f"'{name}' is no step, so it cannot stand in '{key}'.", code="unknown-name")
            elif name in self.hidden and name not in self.visible:
                hint = f"It is inside '{self.hidden[name]}': name that instead."
                self._report.add(item, f"There is no step named '{name}' here.", suggestion=hint, code="unknown-name")
            elif name not in self.visible:
                self._report.unknown(item, "step", name, self.visible)
            elif name not in found:
                found.append(name)
        return tuple(found)

    def _expected(self, name: str, verb: Verb, contract: Contract | None) -> Shape | None:
        """What an `on_error` has to give (rule 9), where that is known."""
        if verb in GROUP_VERBS or verb == "call":
            data = self._data_shape(name, verb)
            return None if data == ANY else data
        return None if contract is None else shape_of_schema(contract.output_schema)

    def _undo(self, name: str, node: Node | None, contract: Contract | None) -> Step | None:
        if node is None or not self._report.mapping(node, "'undo'"):
            return None
        self._report.unknown_keys(node, ("tool", "with", "retry", "timeout", "about"), "'undo'")
        if "tool" not in node.entries:
            self._report.add(node, "'tool' is missing: what takes the effect back?", code="missing-key")
            return None
        result = ANY if contract is None else shape_of_schema(contract.output_schema)
        variables: dict[str, Callable[[], Shape]] = {**self.variables, "result": lambda: result}
        values: ValueCompiler = values_over(self.shared, variables, self.visible, self.hidden)
        given = node.entries.get("with")
        arguments: Expression = EMPTY if given is None else values.template(given)
        if any(read.root == name for read in arguments.reads):
            hint = f"Write 'result' instead of '{name}'."
            self._report.add(node, "An undo reads its own step's output as 'result'.", suggestion=hint, code="cycle")
        target = node.entries["tool"]
        self._report.text(target, "What 'tool' names")
        found = find_contract(self.shared, target, "tool")
        if found is not None:
            expected = shape_of_schema(found.input_schema)
            check_fields(self._report, given or node, shape_of(arguments), expected, f"'{target.text}'")
        timeout = node.entries.get("timeout")
        return Step(
            name=f"{name}/undo",
            verb="tool",
            target=target.text or "",
            arguments={"with": arguments},
            retry=compile_retry(self._report, node.entries.get("retry")),
            timeout_s=None if timeout is None else compile_duration(self._report, timeout),
            line=node.line,
        )
