"""Compiles the steps of one document."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from functools import partial
from typing import Any, cast

from signoff.core.errors import did_you_mean
from signoff.workflows.arguments import check_fields
from signoff.workflows.documents import Node
from signoff.workflows.expressions import CelExpression, ExpressionCompiler
from signoff.workflows.header import compile_duration
from signoff.workflows.model import Contract, Contracts, Expression, Retry, Step, Verb
from signoff.workflows.outputs import output_shape
from signoff.workflows.reads import STATUS_FIELDS
from signoff.workflows.report import Report
from signoff.workflows.settings import compile_settings
from signoff.workflows.shapes import ANY, Shape, shape_of_schema
from signoff.workflows.templates import Constant, ShowTemplate
from signoff.workflows.values import ValueCompiler, shape_of
from signoff.workflows.verbs import VERBS, VerbKeys

MAX_RETRIES = 100
"""Tries after the first."""

MAX_BACKOFF = 100.0
"""What a delay may be multiplied with."""

EMPTY = Constant({}, "{}", shape_of_schema({"type": "object", "properties": {}}))
_EVENT = re.compile(r"[A-Za-z][A-Za-z0-9_-]*(\.[A-Za-z0-9_-]+)*")


class StepCompiler:
    """Compiles steps, each once, whatever the order they are asked for in.

    Attributes:
        values: compiles conditions and templates over the input and all steps.
        named: the contracts that the document names, by kind and name.
    """

    def __init__(
        self, nodes: Mapping[str, Node], input_schema: Mapping[str, Any], contracts: Contracts, report: Report
    ) -> None:
        self._nodes = nodes
        self._contracts = contracts
        self._report = report
        self._shapes: dict[str, Shape] = {}
        self._arguments: dict[str, dict[str, Expression]] = {}
        self._variables: dict[str, Callable[[], Shape]] = {
            "input": partial(_shape_of_input, shape_of_schema(input_schema))
        }
        self._variables |= {name: partial(self.shape, name) for name in nodes}
        self.values = ValueCompiler(ExpressionCompiler(self._variables, nodes), report)
        self.named: dict[tuple[str, str], Contract] = {}

    def shape(self, name: str) -> Shape:
        """What is known of a step's value, with `done` and `result` among its fields."""
        if name not in self._shapes:
            self._shapes[name] = ANY  # what a cycle sees; it is reported as one
            verb = _verb_of(self._nodes[name])
            contract = None if verb is None else self._contract(self._nodes[name], verb, quiet=True)
            arguments = self.arguments(name)
            self._shapes[name] = output_shape(verb, contract, arguments)
        return self._shapes[name]

    def arguments(self, name: str) -> dict[str, Expression]:
        """The compiled arguments of a step."""
        if name not in self._arguments:
            self._arguments[name] = {}
            node = self._nodes[name]
            verb = _verb_of(node)
            if verb is not None:
                self._arguments[name] = self._compile_arguments(node, verb, VERBS[verb])
        return self._arguments[name]

    def compile(self, name: str) -> Step:
        """One step; what is wrong with it is in the report."""
        node, report = self._nodes[name], self._report
        verb = self._check_verb(name, node)
        if verb is None:
            return Step(name, "set", "", line=node.line)
        keys = VERBS[verb]
        self._check_keys(node, verb, keys)
        target = "" if keys.target == "values" else self._target(node, verb, keys)
        contract = self._contract(node, verb)
        arguments = self.arguments(name)
        if contract is not None:
            self._check_arguments(node, verb, arguments, contract)
        entries = node.entries
        conditions = {key: self._condition(entries.get(key)) for key in ("when", "needed")}
        asserts = self._asserts(entries.get("assert"))
        once = None if "once" not in entries or verb != "tool" else self.values.key(entries["once"])
        on_error = self._on_error(entries.get("on_error"), contract)
        undo = self._undo(name, entries.get("undo"), contract) if verb == "tool" else None
        requires, after = (self._names(name, key, entries.get(key)) for key in ("requires", "after"))
        expressions = [*arguments.values(), *conditions.values(), *asserts, once, on_error]
        expressions += [] if undo is None else list(undo.arguments.values())
        reads = {read.root for expression in expressions if expression is not None for read in expression.reads}
        timeout = entries.get("timeout")
        return Step(
            name=name,
            verb=verb,
            target=target,
            arguments=arguments,
            settings=compile_settings(report, node, keys, arguments),
            when=conditions["when"],
            needed=conditions["needed"] if verb == "review" else None,
            requires=requires,
            after=after,
            asserts=asserts,
            once=once,
            retry=self._retry(entries.get("retry")),
            timeout_s=None if timeout is None else compile_duration(report, timeout),
            undo=undo,
            on_error=on_error,
            waits_for=frozenset((reads | {*requires, *after}) & self._nodes.keys()),
            line=node.line,
        )

    # --- the verb and what it names ------------------------------------------------------------------------------

    def _check_verb(self, name: str, node: Node) -> Verb | None:
        verbs = [key for key in node.entries if key in VERBS]
        if len(verbs) == 1:
            return cast("Verb", verbs[0])
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

    def _target(self, node: Node, verb: Verb, keys: VerbKeys) -> str:
        value = node.entries[verb]
        target = self._report.text(value, f"What '{verb}' names")
        if "${" in target:
            hint = "Write a constant; what varies goes into the data."
            self._report.add(value, f"What '{verb}' names is fixed.", suggestion=hint, code="type")
        elif keys.target == "event" and target and not _EVENT.fullmatch(target):
            hint = "Write words with dots between, such as support.refund.completed.v1."
            self._report.add(value, f"'{target}' cannot be an event's type.", suggestion=hint, code="name")
        return target

    def _contract(self, node: Node, verb: Verb, *, quiet: bool = False) -> Contract | None:
        kinds: Mapping[str, tuple[str, Mapping[str, Contract]]] = {
            "prompt": ("prompt", self._contracts.prompts),
            "tool": ("tool", self._contracts.tools),
            "index": ("index", self._contracts.indexes),
            "rules": ("rule set", self._contracts.rules),
        }
        if VERBS[verb].target not in kinds:
            return None
        what, known = kinds[VERBS[verb].target]
        return self._find(node.entries[verb], what, known, quiet=quiet)

    def _find(self, node: Node, what: str, known: Mapping[str, Contract], *, quiet: bool = False) -> Contract | None:
        name = node.text
        if not name or "${" in name:
            return None
        try:
            contract = known[name]
        except KeyError:
            if not quiet:
                self._report.unknown(node, what, name, list(known))
            return None
        self.named[(what, name)] = contract
        return contract

    # --- data ----------------------------------------------------------------------------------------------------

    def _compile_arguments(self, node: Node, verb: Verb, keys: VerbKeys) -> dict[str, Expression]:
        entries = node.entries
        arguments: dict[str, Expression] = {}
        if keys.target == "values":
            arguments["set"] = self._mapping(entries[verb], "'set'")
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

    def _mapping(self, node: Node, what: str) -> Expression:
        template = self.values.template(node)
        if not shape_of(template).may_be(("object",)):
            self._report.add(node, f"{what} is a mapping of names to values.", code="type")
        return template

    def _check_reserved(self, node: Node | None) -> None:
        for name in () if node is None else node.entries:
            if name in (*STATUS_FIELDS, "comment", "decided_by") and node is not None:
                self._report.add_key(node, name, f"'{name}' is a field that every such step has already.", code="name")

    def _check_arguments(self, node: Node, verb: Verb, arguments: Mapping[str, Expression], contract: Contract) -> None:
        expected = shape_of_schema(contract.input_schema)
        if verb == "retrieve":
            query = expected.get("query")
            given = arguments.get("query")
            if query is not None and given is not None and not query.may_be(shape_of(given).kinds):
                self._report.add(
                    node.entries["query"], f"A query is {query}, and this is {shape_of(given)}.", code="type"
                )
            return
        given = arguments["with"]
        check_fields(
            self._report, node.entries.get("with", node), shape_of(given), expected, f"'{node.entries[verb].text}'"
        )

    # --- conditions and control ------------------------------------------------------------------------------------

    def _condition(self, node: Node | None) -> CelExpression | None:
        return None if node is None else self.values.condition(node)

    def _asserts(self, node: Node | None) -> tuple[Expression, ...]:
        nodes = () if node is None else node.items if node.kind == "list" else (node,)
        return tuple(compiled for item in nodes if (compiled := self.values.condition(item)) is not None)

    def _names(self, step: str, key: str, node: Node | None) -> tuple[str, ...]:
        found: list[str] = []
        for name, item in [] if node is None else self._report.texts(node, f"'{key}'"):
            if name == step:
                self._report.add(item, f"A step cannot name itself in '{key}'.", code="cycle")
            elif name in ("input", "result"):
                self._report.add(item, f"'{name}' is no step, so it cannot stand in '{key}'.", code="unknown-name")
            elif name not in self._nodes:
                self._report.unknown(item, "step", name, self._nodes.keys())
            elif name not in found:
                found.append(name)
        return tuple(found)

    def _retry(self, node: Node | None) -> Retry:
        if node is None or not self._report.mapping(node, "'retry'"):
            return Retry()
        self._report.unknown_keys(node, ("times", "delay", "backoff", "max_delay"), "'retry'")
        entries = node.entries
        times, backoff = (entries[key].value if key in entries else None for key in ("times", "backoff"))
        if "times" not in entries:
            self._report.add(node, "'times' is missing: how often is it tried again?", code="missing-key")
        elif not isinstance(times, int) or isinstance(times, bool) or not 0 <= times <= MAX_RETRIES:
            self._report.add(entries["times"], f"'times' is a whole number from 0 to {MAX_RETRIES}.", code="value")
        if "backoff" in entries and (
            not isinstance(backoff, (int, float)) or isinstance(backoff, bool) or not 1 <= backoff <= MAX_BACKOFF
        ):
            self._report.add(entries["backoff"], f"'backoff' is a number from 1 to {MAX_BACKOFF:g}.", code="value")
        delay, longest = (
            compile_duration(self._report, entries[key]) if key in entries else None for key in ("delay", "max_delay")
        )
        default = Retry()
        return Retry(
            times=times if isinstance(times, int) else default.times,
            delay_s=default.delay_s if delay is None else delay,
            backoff=float(backoff) if isinstance(backoff, (int, float)) else default.backoff,
            max_delay_s=default.max_delay_s if longest is None else longest,
        )

    def _on_error(self, node: Node | None, contract: Contract | None) -> Expression | None:
        if node is None:
            return None
        template = self._mapping(node, "'on_error'")
        if contract is not None:
            expected = shape_of_schema(contract.output_schema)
            check_fields(self._report, node, shape_of(template), expected, "the step's output (rule 9)")
        return template

    def _undo(self, name: str, node: Node | None, contract: Contract | None) -> Step | None:
        if node is None or not self._report.mapping(node, "'undo'"):
            return None
        self._report.unknown_keys(node, ("tool", "with", "retry", "timeout", "about"), "'undo'")
        if "tool" not in node.entries:
            self._report.add(node, "'tool' is missing: what takes the effect back?", code="missing-key")
            return None
        result = ANY if contract is None else shape_of_schema(contract.output_schema)
        variables = {**self._variables, "result": lambda: result}
        values = ValueCompiler(ExpressionCompiler(variables, self._nodes.keys()), self._report)
        given = node.entries.get("with")
        arguments: Expression = EMPTY if given is None else values.template(given)
        if any(read.root == name for read in arguments.reads):
            hint = f"Write 'result' instead of '{name}'."
            self._report.add(node, "An undo reads its own step's output as 'result'.", suggestion=hint, code="cycle")
        target = node.entries["tool"]
        self._report.text(target, "What 'tool' names")
        found = self._find(target, "tool", self._contracts.tools)
        if found is not None:
            expected = shape_of_schema(found.input_schema)
            check_fields(self._report, given or node, shape_of(arguments), expected, f"'{target.text}'")
        timeout = node.entries.get("timeout")
        return Step(
            name=f"{name}/undo",
            verb="tool",
            target=target.text or "",
            arguments={"with": arguments},
            retry=self._retry(node.entries.get("retry")),
            timeout_s=None if timeout is None else compile_duration(self._report, timeout),
            line=node.line,
        )


def _verb_of(node: Node) -> Verb | None:
    verbs = [key for key in node.entries if key in VERBS]
    return cast("Verb", verbs[0]) if len(verbs) == 1 else None


def _shape_of_input(shape: Shape) -> Shape:
    return shape
