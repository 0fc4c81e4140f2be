"""`load_project`: a directory, or the files of a release, into a checked and compiled project, with every problem."""

from __future__ import annotations

import json
from collections.abc import Container, Iterator, Mapping, Sequence
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any, TypeVar, cast

from signoff.catalog.checks import check_references
from signoff.catalog.decisions import DecisionTable
from signoff.catalog.documents import compile_documents, contract_of, read_documents
from signoff.catalog.flow import require_flow
from signoff.catalog.memo import Memo
from signoff.catalog.model import RETRIEVAL_CONTRACT, IndexSettings, Project, PromptRegistry
from signoff.catalog.models import ModelsConfig
from signoff.catalog.outgoing_checks import check_outgoing
from signoff.catalog.parsing.decision_sheets import load_sheet
from signoff.catalog.parsing.decisions import parse_decision
from signoff.catalog.parsing.manifest import Manifest, parse_index, parse_manifest
from signoff.catalog.parsing.models import parse_models
from signoff.catalog.parsing.rules import parse_rule
from signoff.catalog.parsing.schedules import parse_schedule
from signoff.catalog.parsing.tools import parse_tool
from signoff.catalog.planned import check_starts
from signoff.catalog.prompt_checks import check_prompts
from signoff.catalog.prompts import Prompt
from signoff.catalog.reading import FileReader
from signoff.catalog.rules import Rule
from signoff.catalog.sources import MANIFEST, MODELS, has_python_workflows, is_part, read_files
from signoff.catalog.tools import ToolContract
from signoff.core.errors import DefinitionError, NotFoundError, Problem
from signoff.core.ids import digest
from signoff.core.schemas import check_schema
from signoff.governance.policy import PolicySet
from signoff.runtime.starting import Schedule
from signoff.workflows.documents import load_document
from signoff.workflows.fragments import read_fragments
from signoff.workflows.model import Contract, Contracts, Workflow

MAX_PROBLEMS = 500
"""How many problems one load tells; a broken file can have one on every line."""

Named = TypeVar("Named", Prompt, ToolContract, Rule, DecisionTable)


def load_project(path: Path, memo: Memo | None = None) -> Project:
    """The project in a directory, checked and compiled, its data flow proven.

    Args:
        path: the directory.
        memo: what loading it before has made of its files.

    Raises:
        DefinitionError: with every problem of every file, or with all that is wrong with the data flow.
    """
    project = load_project_files(read_files(path), memo)
    require_flow(project, memo)
    return project


def load_project_files(files: Mapping[str, bytes], memo: Memo | None = None) -> Project:
    """The project of those files (by path with `/`), checked and compiled.

    Raises:
        DefinitionError: with every problem of every file.
    """
    return ProjectReader(files, memo).project()


def _check_code(project: Project) -> Iterator[Problem]:
    if has_python_workflows(project.files):
        from signoff.catalog.python_workflows import check_code  # noqa: PLC0415  (as above)

        yield from check_code(project)


def _place(problem: Problem) -> tuple[str, int, int]:
    return problem.file or "", problem.line or 0, problem.column or 0


class ProjectReader(FileReader):
    """Reads one set of files, and compiles their workflows: all of them, or some at a time.

    Problems pile up, so that all are told at once.

    Args:
        files: of the project, by path with `/`.
        memo: what reading it before has made of its files.

    Attributes:
        rest: the project but for the workflows that are not in Python.
        documents: the workflows that are not in Python.
    """

    def __init__(self, files: Mapping[str, bytes], memo: Memo | None = None) -> None:
        super().__init__(files)
        self.memo = memo or Memo()
        for name in files:
            if not is_part(name):
                self.problems.append(Problem("This file is no part of a project.", file=name, code="unknown-file"))
        self.rest, self._contracts = self._read(self._manifest())
        self.documents = read_documents(self.texts("workflows", ".yaml"), self._contracts, self.problems, self.memo)

    def _read(self, manifest: Manifest) -> tuple[Project, Contracts]:
        """The project without its workflows, and what these may name."""
        schemas = self._schemas()
        prompts = self._unique(list(self._prompts()), "prompt")
        tools = {tool.name: tool for tool in self._unique(list(self._tools(manifest)), "tool")}
        rules = {rule.name: rule for rule in self._unique(list(self._rules()), "rule")}
        decisions = {table.name: table for table in self._unique(list(self._decisions()), "decision")}
        knowledge, index_settings = self._knowledge()
        registry = PromptRegistry(prompts)
        contracts = Contracts(
            prompts=PromptContracts(registry),
            tools={name: tool.contract for name, tool in tools.items()},
            indexes=dict.fromkeys(knowledge, RETRIEVAL_CONTRACT),
            rules={name: rule.contract for name, rule in rules.items()},
            decisions={name: table.contract for name, table in decisions.items()},
            schemas=schemas,
            fragments=read_fragments(self.texts("fragments", ".yaml"), self.problems),
            defaults=manifest.defaults,
        )
        coded = self._coded(contracts, manifest)
        project = Project(
            name=manifest.name,
            settings=manifest.settings,
            roles=manifest.roles,
            workflows=coded,
            prompts=registry,
            tools=tools,
            models=replace(self._models(), screening=manifest.screening),
            policies=self._policies(),
            schemas=schemas,
            knowledge=knowledge,
            index_settings=index_settings,
            rules=rules,
            decisions=decisions,
            retention=manifest.retention,
            queues=manifest.queues,
            schedules=self._schedules(manifest),
            environments=manifest.environments,
            outgoing=manifest.outgoing,
            files=dict(self.files),
        )
        others = {name: contract_of(workflow) for name, workflow in coded.items()}
        return project, replace(contracts, workflows=others)

    def project(self, part: Container[str] | None = None) -> Project:
        """The project, checked and compiled.

        Args:
            part: the files of the workflows that are compiled, with all that they call; of the others it has the heads.

        Raises:
            DefinitionError: with every problem of every file.
        """
        problems = list(self.problems)
        project = replace(self.rest, workflows=self._workflows(problems, part))
        problems += [
            *check_references(project),
            *_check_code(project),
            *check_starts(project),
            *check_prompts(project),
            *check_outgoing(project),
        ]
        if problems:
            count = len(problems)
            more = f" These are the first {MAX_PROBLEMS}." if count > MAX_PROBLEMS else ""
            raise DefinitionError(
                f"The project has {count} problem{'s' if count > 1 else ''}.{more}",
                problems=sorted(problems, key=_place)[:MAX_PROBLEMS],
            )
        return project

    def _workflows(self, problems: list[Problem], part: Container[str] | None) -> dict[str, Workflow]:
        coded = self.rest.workflows
        written = compile_documents(self.documents, self._contracts, problems, self.memo, part)
        for name in coded.keys() & written.keys():
            detail = f"The workflow '{name}' is in {coded[name].file} already."
            suggestion = "Give one another name."
            problems.append(Problem(detail, written[name].file, suggestion=suggestion, code="duplicate"))
        return {**coded, **written}

    def _coded(self, contracts: Contracts, manifest: Manifest) -> Mapping[str, Workflow]:
        """The workflows in Python."""
        if not has_python_workflows(self.files):
            return {}
        from signoff.catalog.python_workflows import compile_python  # noqa: PLC0415  (30 ms that few projects need)

        return compile_python(self.files, contracts, self.problems, requires=manifest.requires)

    def _manifest(self) -> Manifest:
        if MANIFEST not in self.files:
            suggestion = "Add it with the line 'project: <name>'."
            self.problems.append(Problem(f"{MANIFEST} is missing.", MANIFEST, suggestion=suggestion, code="no-project"))
            return Manifest()
        fields = self.fields(MANIFEST)
        return parse_manifest(fields) if fields else Manifest()

    def _models(self) -> ModelsConfig:
        fields = self.fields(MODELS) if MODELS in self.files else None
        return parse_models(fields) if fields else ModelsConfig()

    def _prompts(self) -> Iterator[Prompt]:
        for name in self.named("prompts", ".md"):
            prompt = self.memo.kept("prompt", name, self.files[name], self.problems, partial(self.prompt, name))
            if prompt is not None:
                yield prompt

    def _tools(self, manifest: Manifest) -> Iterator[ToolContract]:
        for name in self.named("tools", ".yaml"):
            fields = self.fields(name)
            if fields:
                yield parse_tool(fields, digest=digest(self.files[name]), settings=manifest.settings)

    def _rules(self) -> Iterator[Rule]:
        for name in self.named("rules", ".yaml"):
            fields = self.fields(name)
            if fields:
                yield parse_rule(fields, digest=digest(self.files[name]))

    def _decisions(self) -> Iterator[DecisionTable]:
        for name in (*self.named("decisions", ".yaml"), *self.named("decisions", ".csv")):
            text = self.text(name)
            if text is None:
                continue
            try:
                node = load_sheet(text, name) if name.endswith(".csv") else load_document(text, name)
                yield parse_decision(node, name, digest=digest(self.files[name]))
            except DefinitionError as error:
                self.problems += error.problems

    def _unique(self, found: Sequence[Named], kind: str) -> list[Named]:
        first: dict[str, Named] = {}
        for item in found:
            name = f"{item.name}@{item.version}" if isinstance(item, Prompt) else item.name
            if name in first:
                detail = f"The {kind} '{name}' is in {first[name].file} already."
                self.problems.append(Problem(detail, item.file, suggestion="Give one another name.", code="duplicate"))
            elif name:
                first[name] = item
        return list(first.values())

    def _schedules(self, manifest: Manifest) -> dict[str, Schedule]:
        found: dict[str, Schedule] = {}
        for name in self.named("schedules", ".yaml"):
            fields = self.fields(name)
            schedule = parse_schedule(fields, manifest.calendars) if fields else None
            if schedule is None:
                continue
            if schedule.name in found:
                detail = f"The schedule '{schedule.name}' is in another file already."
                self.problems.append(Problem(detail, name, suggestion="Give one another name.", code="duplicate"))
            found.setdefault(schedule.name, schedule)
        return found

    def _schemas(self) -> dict[str, Mapping[str, Any]]:
        found: dict[str, Mapping[str, Any]] = {}
        for name in self.named("schemas", ".json"):
            text = self.text(name)
            if text is None:
                continue
            try:
                schema: Any = json.loads(text)
            except json.JSONDecodeError as error:
                problem = Problem(f"This is not JSON: {error.msg}.", name, error.lineno, error.colno, code="json")
                self.problems.append(problem)
                continue
            except RecursionError:
                self.problems.append(Problem("The JSON is nested too deeply.", name, code="json"))
                continue
            wrong = [Problem(p.detail, name, pointer=p.pointer, code=p.code) for p in check_schema(schema)]
            self.problems += wrong
            if not wrong and isinstance(schema, dict):
                found[name] = cast("dict[str, Any]", schema)
        return found

    def _knowledge(self) -> tuple[dict[str, tuple[tuple[str, str], ...]], dict[str, IndexSettings]]:
        sources: dict[str, list[tuple[str, str]]] = {}
        settings: dict[str, IndexSettings] = {}
        for name in sorted(self.files):
            parts = name.split("/")
            if parts[0] != "knowledge":
                continue
            if len(parts) == 2 and name.endswith(".yaml"):  # noqa: PLR2004  (knowledge/<index>.yaml)
                fields = self.fields(name)
                settings[parts[1].removesuffix(".yaml")] = parse_index(fields) if fields else IndexSettings()
            elif len(parts) == 2 or name.endswith(".yaml"):  # noqa: PLR2004  (a directory and a file in it)
                suggestion = "Sources are knowledge/<index>/*.md or .txt, settings knowledge/<index>.yaml."
                self.problems.append(Problem("This is in no index.", name, suggestion=suggestion, code="unknown-file"))
            elif (text := self.text(name)) is not None:
                if "\0" in text:
                    self.problems.append(Problem("The text holds a NUL character.", name, code="encoding"))
                sources.setdefault(parts[1], []).append((name, text))
        for index in settings:
            if index not in sources:
                suggestion = f"Add sources in knowledge/{index}/."
                file = f"knowledge/{index}.yaml"
                self.problems.append(Problem("The index has no sources.", file, suggestion=suggestion, code="empty"))
        return (
            {index: tuple(texts) for index, texts in sources.items()},
            {index: settings.get(index, IndexSettings()) for index in sources},
        )

    def _policies(self) -> dict[str, str]:
        texts = {name: text for name in self.named("policies", ".cedar") if (text := self.text(name)) is not None}
        try:
            PolicySet.parse(texts)
        except DefinitionError as error:
            self.problems += error.problems
        return texts


class PromptContracts(Mapping[str, Contract]):
    """Contracts of prompts by any reference that finds one (`classify`, `classify@^3`); lists each name once."""

    def __init__(self, registry: PromptRegistry) -> None:
        self._registry = registry

    def __getitem__(self, reference: str) -> Contract:
        try:
            return self._registry.find(reference).contract
        except NotFoundError as error:
            raise KeyError(reference) from error

    def __iter__(self) -> Iterator[str]:
        return iter(self._registry.names)

    def __len__(self) -> int:
        return len(self._registry.names)
