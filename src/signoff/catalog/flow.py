"""A project's data flow, proven before anything runs: what the analysis must know, and what it finds.

`signoff check` and everything that makes a release ask here; a worker that loads a release does not ask again.
"""

from __future__ import annotations

from collections.abc import Container, Iterator, Mapping, Sequence
from dataclasses import field

from signoff.catalog.flow_policy import PolicyCheck
from signoff.catalog.memo import APART, Memo
from signoff.catalog.model import Project, PromptRegistry
from signoff.core.errors import DefinitionError, NotFoundError, Problem
from signoff.core.values import value
from signoff.workflows.flow import Finding, FlowResult, PromptFacts, RuleFacts, Surroundings, ToolFacts, check_flow
from signoff.workflows.flow.checking import settle_events
from signoff.workflows.model import Workflow


@value
class ProjectFlow:
    """What is known of a project's data flow.

    Attributes:
        results: by the workflow's name; of those in YAML.
        told: what the analysis cannot vouch for, by workflow too.
    """

    results: Mapping[str, FlowResult] = field(default_factory=dict[str, FlowResult])
    told: Mapping[str, Sequence[Problem]] = field(default_factory=dict[str, Sequence[Problem]])

    @property
    def problems(self) -> tuple[Problem, ...]:
        """Everything that the analysis cannot vouch for, each once, with its path and place."""
        return tuple(dict.fromkeys(problem for told in self.told.values() for problem in told))


def project_flow(project: Project, memo: Memo | None = None, part: Container[str] | None = None) -> ProjectFlow:
    """Analyse every workflow of a project; those that are as a memo has them, with all around them, are not again.

    Args:
        project: read and compiled.
        memo: what analysing it before has found.
        part: the files of the workflows that are analysed; none means all.
    """
    around = surroundings_of(project)
    settle_events(around)
    policies = PolicyCheck(project)
    memo = memo or Memo()
    rest = {file: text for file, text in project.files.items() if not file.startswith(APART)}
    memo.settle((rest, around.prompts, dict(around.events)), project.workflows)
    results: dict[str, FlowResult] = {}
    problems: dict[str, Sequence[Problem]] = {}
    for name, workflow in project.workflows.items():
        if workflow.python is not None or (part is not None and workflow.file not in part):
            continue
        if name not in memo.flows:
            result, findings = check_flow(workflow, around)
            lines = _lines(project, workflow)
            told = [_problem(workflow, lines, finding) for finding in (*findings, *policies.findings(result))]
            memo.flows[name] = (workflow, (result, told))
        results[name], problems[name] = memo.flows[name][1]
    return ProjectFlow(results, problems)


def require_flow(project: Project, memo: Memo | None = None) -> None:
    """Refuse a project whose data flow is not proven.

    Raises:
        DefinitionError: with every problem.
    """
    require_no_problems(project_flow(project, memo).problems)


def require_no_problems(problems: Sequence[Problem]) -> None:
    """Refuse what the analysis cannot vouch for.

    Raises:
        DefinitionError: with every problem.
    """
    if problems:
        count = len(problems)
        detail = f"The data flow of the project has {count} problem{'s' if count > 1 else ''}."
        raise DefinitionError(detail, problems=list(problems))


def unproven(project: Project) -> Iterator[Problem]:
    """The workflows of which nothing is proven, for people: those in Python."""
    for workflow in project.workflows.values():
        if workflow.python is not None:
            detail = (
                f"'{workflow.name}' is written in Python: the proof does not cover it. As it runs, a step has the"
                " labels of all that the run has read; models and events are held to those, and a call of a tool to its"
                " contract: trusted and confined arguments are values of trusted sources, of the code or of a list,"
                " or a person approved them; else the step fails, kind 'flow'."
            )
            yield Problem(detail, workflow.file, workflow.python.line, code="flow-python")


def surroundings_of(project: Project) -> Surroundings:
    """What the analysis must know of the things that a project's workflows name."""
    return Surroundings(
        tools={
            name: ToolFacts(
                tool.input_schema,
                tool.output_schema,
                effect=tool.effect,
                sinks=tool.sinks,
                classes=tool.argument_classes,
                output_labels=tool.output_labels,
                owner=tool.owner,
                trigger=tool.trigger,
                quota=tool.quota is not None,
            )
            for name, tool in project.tools.items()
        },
        prompts=_Prompts(project.prompts),
        trusted_indexes=frozenset(name for name, settings in project.index_settings.items() if settings.trusted),
        rules={
            name: RuleFacts(tuple((one.expression, one.severity) for one in rule.conditions))
            for name, rule in project.rules.items()
        },
        workflows=project.workflows,
    )


class _Prompts(dict[str, PromptFacts]):
    """Prompts by the reference that finds them."""

    def __init__(self, registry: PromptRegistry) -> None:
        super().__init__()
        self._registry = registry

    def get(self, key: str, default: PromptFacts | None = None, /) -> PromptFacts | None:  # pyright: ignore[reportIncompatibleMethodOverride]  (dict's own has overloads)
        try:
            prompt = self._registry.find(key)
        except NotFoundError:
            return default
        return PromptFacts(prompt.data_class, prompt.contract.output_schema or {})


def _lines(project: Project, workflow: Workflow) -> list[str]:
    return project.files[workflow.file].decode("utf-8-sig", "replace").splitlines()


def _problem(workflow: Workflow, lines: list[str], finding: Finding) -> Problem:
    """A finding at the place of the word that it is about, or at its step."""
    start = finding.line
    if not finding.step:  # one about an attribute: its name may stand anywhere else before
        start = next((at for at, text in enumerate(lines, start=1) if text.startswith("attributes")), 1)
    line, column = start or 1, None
    for number in range(max(start, 1), len(lines) + 1):
        if finding.word and finding.word in lines[number - 1]:
            line, column = number, lines[number - 1].index(finding.word) + 1
            break
    pointer = "".join(f"/{part}" for part in ("steps", *finding.step.split("/"))) if finding.step else "/attributes"
    return Problem(finding.text(), workflow.file, line, column, pointer, finding.suggestion, finding.code)
