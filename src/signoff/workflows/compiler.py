"""Compiles a workflow document: structure, names, types and data flow, with every problem at its place."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from typing import Any, cast

from signoff.core.ids import digest as sha256
from signoff.core.schemas import check_schema, pointer
from signoff.workflows.documents import Node, load_document
from signoff.workflows.graph import find_cycle
from signoff.workflows.header import compile_goals, compile_limits, compile_risk, compile_version
from signoff.workflows.model import Contracts, Outcome, Step, Workflow
from signoff.workflows.report import Report
from signoff.workflows.sources import annotation_problems, input_labels_of
from signoff.workflows.steps import StepCompiler

MAX_STEPS = 200
"""Steps of one workflow."""

MAX_OUTCOMES = 50
"""Outcomes of one workflow."""

WORKFLOW_KEYS = (
    "workflow",
    "version",
    "about",
    "owner",
    "goals",
    "risk",
    "input",
    "limits",
    "steps",
    "outcome",
)
_CEL_WORDS = "as break const continue else false for function if import in let loop namespace null package return true"
_CEL_NAMES = (
    "bool bytes double duration dyn has int list map math null_type optional size string strings timestamp type"
)
RESERVED_NAMES = frozenset(f"{_CEL_WORDS} {_CEL_NAMES} uint var void while input result".split())
"""Names that CEL or the language itself uses."""

_STEP_NAME = re.compile(r"[a-z][a-z0-9_]{0,63}")
_OUTCOME_NAME = re.compile(r"[a-z][a-z0-9_]{0,63}")
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
    return _WorkflowCompiler(load_document(text, file), file, contracts).compile()


class _WorkflowCompiler:
    def __init__(self, document: Node, file: str, contracts: Contracts) -> None:
        self._document = document
        self._file = file
        self._contracts = contracts
        self._report = Report(file)

    def compile(self) -> Workflow:
        document, report = self._document, self._report
        if not report.mapping(document, "A workflow"):
            report.raise_if_any(self._failed)
        report.unknown_keys(document, WORKFLOW_KEYS, "a workflow")
        for key in ("workflow", "version", "input", "steps", "outcome"):
            if key not in document.entries:
                report.add(document, f"'{key}' is missing.", code="missing-key")
        input_schema = self._input()
        nodes = self._step_nodes()
        compiler = StepCompiler(nodes, input_schema, self._contracts, report)
        steps = tuple(compiler.compile(name) for name in nodes)
        outcomes = self._outcomes(compiler)
        self._check_order(steps)
        entries = document.entries
        workflow = Workflow(
            name=self._name(),
            version=compile_version(report, entries.get("version")),
            about=self._text("about"),
            owner=self._text("owner"),
            risk=compile_risk(report, entries.get("risk")),
            goals=compile_goals(report, entries.get("goals")),
            limits=compile_limits(report, entries.get("limits")),
            input_schema=input_schema,
            steps=steps,
            outcomes=outcomes,
            digest=self._digest(input_schema, compiler),
            file=self._file,
            input_labels=input_labels_of(input_schema),
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

    def _step_nodes(self) -> dict[str, Node]:
        steps = self._document.entries.get("steps")
        if steps is None or not self._report.mapping(steps, "'steps'"):
            return {}
        if not steps.entries:
            self._report.add(steps, "A workflow has at least one step.", code="missing-key")
        if len(steps.entries) > MAX_STEPS:
            hint = "Split the workflow."
            self._report.add(steps, f"A workflow has at most {MAX_STEPS} steps.", suggestion=hint, code="limit")
            return {}
        found: dict[str, Node] = {}
        for name, node in steps.entries.items():
            if not _STEP_NAME.fullmatch(name) or name in RESERVED_NAMES:
                why = "is a word of the language" if name in RESERVED_NAMES else "cannot be a step's name"
                hint = "Write lower case letters, digits and '_', beginning with a letter."
                self._report.add_key(steps, name, f"'{name}' {why}.", suggestion=hint, code="name")
            elif self._report.mapping(node, "A step"):
                found[name] = node
        return found

    def _outcomes(self, compiler: StepCompiler) -> tuple[Outcome, ...]:
        node = self._document.entries.get("outcome")
        if node is None or not self._report.mapping(node, "'outcome'"):
            return ()
        if not 0 < len(node.entries) <= MAX_OUTCOMES:
            self._report.add(node, f"A workflow has 1 to {MAX_OUTCOMES} outcomes.", code="limit")
            return ()
        outcomes: list[Outcome] = []
        for name, condition in node.entries.items():
            if not _OUTCOME_NAME.fullmatch(name):
                hint = "Write lower case letters, digits and '_', beginning with a letter."
                self._report.add_key(node, name, f"'{name}' cannot be an outcome's name.", suggestion=hint, code="name")
            compiled = compiler.values.condition(condition)
            if compiled is not None:
                outcomes.append(Outcome(name, compiled))
        return tuple(outcomes)

    def _check_order(self, steps: tuple[Step, ...]) -> None:
        cycle = find_cycle({step.name: sorted(step.waits_for) for step in steps})
        if cycle is None:
            return
        entries = self._document.entries["steps"]
        path = " → ".join([*cycle, cycle[0]])
        detail = f"'{cycle[0]}' waits for itself." if len(cycle) == 1 else f"These steps wait for each other: {path}."
        self._report.add_key(entries, cycle[0], detail, suggestion="Take one of the references out.", code="cycle")

    def _digest(self, input_schema: Mapping[str, Any], compiler: StepCompiler) -> str:
        named = {
            f"{kind}:{name}": {
                "input": contract.input_schema,
                "output": contract.output_schema,
                "effect": contract.effect,
            }
            for (kind, name), contract in compiler.named.items()
        }
        content = {"document": self._document.plain(), "input": input_schema, "contracts": sorted(named.items())}
        return sha256(json.dumps(content, ensure_ascii=True, default=dict).encode())
