"""Compiles a workflow document: structure, names, types and data flow, with every problem at its place."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from typing import Any, cast

from signoff.core.ids import digest as sha256
from signoff.core.schemas import check_schema, pointer
from signoff.core.values import value
from signoff.workflows.contracts import known_contract
from signoff.workflows.defaults import Defaults, defaults_of, read_defaults
from signoff.workflows.documents import Node, load_document
from signoff.workflows.ends import compile_attributes, compile_outcomes, output_schema
from signoff.workflows.header import compile_goals, compile_limits, compile_risk, compile_version
from signoff.workflows.model import Contract, Contracts, Risk, Workflow
from signoff.workflows.possible import check_outcomes
from signoff.workflows.report import Report
from signoff.workflows.scopes import Shared, step_nodes
from signoff.workflows.shapes import Shape, shape_of_schema
from signoff.workflows.sources import annotation_problems, input_labels_of
from signoff.workflows.steps import StepCompiler

WORKFLOW_KEYS = (
    "workflow",
    "version",
    "about",
    "owner",
    "goals",
    "risk",
    "input",
    "limits",
    "attributes",
    "defaults",
    "steps",
    "outcome",
)
_WORKFLOW_NAME = re.compile(r"[a-z0-9][a-z0-9_-]*(/[a-z0-9][a-z0-9_-]*){0,4}")
MAX_WORKFLOW_NAME = 120


def compile_workflow(text: str, file: str, contracts: Contracts) -> Workflow:
    """Compile a workflow document (the language: docs/reference/language.md).

    Args:
        text: the YAML document.
        file: its path in the project, for problems.
        contracts: what the document may name.

    Raises:
        DefinitionError: with every problem found, each with file, line and column. Nothing else is ever raised for a
            text, whatever it holds.
    """
    return compile_document(load_document(text, file), file, contracts)


def compile_document(document: Node, file: str, contracts: Contracts) -> Workflow:
    """Compile a document that was read already; see `compile_workflow`."""
    return _WorkflowCompiler(document, file, contracts).compile()


@value
class Uses:
    """What a compiled document rests on besides itself: compiling it again gives the same while all of this holds.

    Attributes:
        named: the contracts that it names, by kind and name.
        fragments: the fragments that it uses, as data.
        input_schema: of its input, where that is a file of the project.
        defaults: the project's.
    """

    named: Mapping[tuple[str, str], Contract]
    fragments: Mapping[str, Any]
    input_file: str | None
    input_schema: Mapping[str, Any]
    defaults: Mapping[str, Any] | None

    def hold(self, contracts: Contracts) -> bool:
        """Whether a project's contracts are still what it rests on."""
        fragments = contracts.fragments
        return (
            self.defaults == (None if contracts.defaults is None else contracts.defaults.plain())
            and (self.input_file is None or contracts.schemas.get(self.input_file) == self.input_schema)
            and all(name in fragments and fragments[name].node.plain() == was for name, was in self.fragments.items())
            and all(known_contract(contracts, kind, name) == was for (kind, name), was in self.named.items())
        )


def compile_with_uses(document: Node, file: str, contracts: Contracts) -> tuple[Workflow, Uses]:
    """As `compile_document`, and what the workflow rests on."""
    compiler = _WorkflowCompiler(document, file, contracts)
    workflow = compiler.compile()
    written = document.entries["input"]
    shared = compiler.shared
    defaults = None if contracts.defaults is None else contracts.defaults.plain()
    return workflow, Uses(shared.named, shared.fragments, written.text, workflow.input_schema, defaults)


class _WorkflowCompiler:
    def __init__(self, document: Node, file: str, contracts: Contracts) -> None:
        self._document = document
        self._file = file
        self._contracts = contracts
        self._report = Report(file)
        self.shared = Shared(contracts, self._report)

    def compile(self) -> Workflow:
        document, report = self._document, self._report
        if not report.mapping(document, "A workflow"):
            report.raise_if_any(self._failed)
        report.unknown_keys(document, WORKFLOW_KEYS, "a workflow")
        for key in ("workflow", "version", "input", "steps", "outcome"):
            if key not in document.entries:
                report.add(document, f"'{key}' is missing.", code="missing-key")
        input_schema = self._input()
        entries = document.entries
        risk = compile_risk(report, entries.get("risk"))
        defaults = self._defaults(risk)
        shared = self.shared
        shared.defaults = defaults.over
        compiler = self._steps(shared, shape_of_schema(input_schema))
        steps = compiler.compile_all()
        outcomes = compile_outcomes(report, compiler.values, entries.get("outcome"))
        if outcomes:
            check_outcomes(report, entries["outcome"], outcomes, compiler.never)
        workflow = Workflow(
            name=self._name(),
            version=compile_version(report, entries.get("version")),
            about=self._text("about"),
            owner=self._text("owner"),
            risk=risk,
            goals=compile_goals(report, entries.get("goals")),
            limits=compile_limits(report, entries.get("limits"), defaults.limits),
            input_schema=input_schema,
            steps=steps,
            outcomes=outcomes,
            digest=self._digest(input_schema, shared),
            file=self._file,
            input_labels=input_labels_of(input_schema),
            attributes=compile_attributes(report, compiler.values, entries.get("attributes")),
            output_schema=output_schema(outcomes),
        )
        report.raise_if_any(self._failed)
        return workflow

    @property
    def _failed(self) -> str:
        return f"{self._file} is not a valid workflow"

    def _name(self) -> str:
        node = self._document.entries.get("workflow")
        if node is None:
            return ""
        name = self._report.text(node, "A workflow's name")
        if name and (len(name) > MAX_WORKFLOW_NAME or not _WORKFLOW_NAME.fullmatch(name)):
            hint = "Write lower case letters, digits, '-', '_' and '/', such as support/refund."
            self._report.add(node, f"'{name}' cannot be a workflow's name.", suggestion=hint, code="name")
        return name

    def _text(self, key: str) -> str:
        node = self._document.entries.get(key)
        return "" if node is None else self._report.text(node, f"'{key}'")

    def _input(self) -> Mapping[str, Any]:
        node = self._document.entries.get("input")
        if node is None:
            return {}
        if node.kind == "mapping":
            schema = cast("dict[str, Any]", node.plain())
        else:
            name = self._report.text(node, "'input'")
            found = self._contracts.schemas.get(name)
            if found is None:
                if name:
                    self._report.unknown(node, "schema", name, self._contracts.schemas)
                return {}
            schema = dict(found)
        problems = check_schema(schema)
        for problem in problems:
            self._report.add(node, f"The input's schema is wrong: {problem}", code="schema")
        if not problems and schema.get("type") != "object":
            self._report.add(node, "The input is an object: its schema says `type: object`.", code="schema")
        if problems:
            return {}
        wrong = annotation_problems(schema)
        for path, text in wrong:
            self._report.add(node, f"The input's annotation at {pointer(path)} is wrong: {text}.", code="schema")
        return {} if wrong else schema

    def _defaults(self, risk: Risk) -> Defaults:
        own = read_defaults(self._report, self._document.entries.get("defaults"))
        return defaults_of(risk, self._contracts.defaults or Defaults(), own)

    def _steps(self, shared: Shared, input_shape: Shape) -> StepCompiler:
        holder = self._document.entries.get("steps")
        nodes = {} if holder is None else step_nodes(shared, holder, "'steps'", frozenset(), 0)
        return StepCompiler(holder or self._document, nodes, shared, {"input": lambda: input_shape})

    def _digest(self, input_schema: Mapping[str, Any], shared: Shared) -> str:
        """Of the document and of what it names: journals pin it, so what it is made of must not change."""
        named = {
            f"{kind}:{name}": {
                "input": contract.input_schema,
                "output": contract.output_schema,
                "effect": contract.effect,
                **({"outcomes": contract.outcomes} if kind == "workflow" else {}),
            }
            for (kind, name), contract in shared.named.items()
        }
        content = {"document": self._document.plain(), "input": input_schema, "contracts": sorted(named.items())}
        if self._contracts.defaults is not None:
            content["defaults"] = self._contracts.defaults.plain()
        if shared.fragments:
            content["fragments"] = sorted(shared.fragments.items())
        return sha256(json.dumps(content, ensure_ascii=True, default=dict).encode())
