"""Closed lists that are wider than what takes them: a label that a tool does not take ends a run, and none asks for it.

That it may happen is told only where it is certain that nothing stands in its way: no condition, assert or `check` of
the workflow has to do with the value or names one of the list, and no `on_error` catches what comes of it.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator
from contextlib import suppress
from itertools import islice

from signoff.catalog.model import Project
from signoff.core.errors import NotFoundError, Problem
from signoff.core.values import value
from signoff.workflows.model import Contract, Expression, Step, Workflow, every_step
from signoff.workflows.shapes import Shape, shape_of_schema
from signoff.workflows.values import shape_of

MAX_WARNINGS = 100
"""Warnings of one workflow."""

MAX_LISTED = 12
"""Texts of a list that a warning names."""

MAX_NESTING = 8
"""Objects inside each other that are compared: schemas may be recursive."""

_TEXT = re.compile(r"'([^']*)'|\"([^\"]*)\"")

Path = tuple[str, ...]


@value
class _Asked:
    """What a workflow's conditions have to do with: the fields that they read, and the texts that they name."""

    paths: frozenset[Path]
    texts: frozenset[str]

    def touch(self, given: Expression, texts: Iterable[str]) -> bool:
        paths = [(read.root, *read.path) for read in given.reads]
        return not self.texts.isdisjoint(texts) or any(
            path[: len(asked)] == asked or asked[: len(path)] == path for path in paths for asked in self.paths
        )


@value
class _Wider:
    """A member of what a step gives: where, what gives it, the texts that are not taken, and those that are."""

    path: Path
    given: Expression
    wrong: frozenset[str]
    taken: frozenset[str]


def wider_lists(project: Project, workflow: Workflow) -> Iterator[Problem]:
    """What steps may give of closed lists that those who take it do not take: such a run fails there."""
    yield from islice(_of_workflow(project, workflow), MAX_WARNINGS)


def _of_workflow(project: Project, workflow: Workflow) -> Iterator[Problem]:
    steps = list(every_step(workflow.steps))
    asked = _asked(steps)
    for step in steps:
        given, contract = step.arguments.get("with"), _contract(project, step)
        if given is None or contract is None or step.error_mode != "fail":
            continue
        taken = shape_of_schema(contract.input_schema)
        for found in _wider(given, shape_of(given), taken, (), MAX_NESTING):
            if not asked.touch(found.given, found.wrong | found.taken):
                yield _problem(project, step.file or workflow.file, step, found)


def _contract(project: Project, step: Step) -> Contract | None:
    """What takes the step's `with`; none of verbs that take anything, and of names that are not there."""
    contract: Contract | None = None
    if step.verb == "tool" and step.target in project.tools:
        contract = project.tools[step.target].contract
    elif step.verb == "decide" and step.target in project.decisions:
        contract = project.decisions[step.target].contract
    elif step.verb == "check" and step.target in project.rules:
        contract = project.rules[step.target].contract
    elif step.verb == "call" and step.target in project.workflows:
        contract = Contract(project.workflows[step.target].input_schema, {})
    elif step.verb == "ai":
        with suppress(NotFoundError):
            contract = project.prompts.find(step.target).contract
    return contract


def _wider(given: Expression, shape: Shape, taken: Shape, path: Path, depth: int) -> Iterator[_Wider]:
    """Each member that may be a text which is not taken."""
    if shape.constants is not None and taken.constants is not None and shape.is_only("string"):
        wrong = shape.constants - taken.constants
        if wrong and taken.is_only("string") and path:
            yield _Wider(path, given, wrong, taken.constants)
    elif depth and shape.is_only("object"):
        for name in shape.names:
            inner, expected = shape.get(name), taken.fields.get(name) and taken.get(name)
            if inner is not None and isinstance(expected, Shape):
                yield from _wider(given.parts.get(name, given), inner, expected, (*path, name), depth - 1)


def _asked(steps: Iterable[Step]) -> _Asked:
    paths: set[Path] = set()
    texts: set[str] = set()
    for step in steps:
        conditions = [one for one in (step.when, step.needed, step.until, *step.asserts) if one is not None]
        if step.verb == "check":
            conditions += step.arguments.values()
        for condition in conditions:
            paths |= {(read.root, *read.path) for read in condition.reads if not read.status_only}
            texts |= {one or other for one, other in _TEXT.findall(condition.source)}
    return _Asked(frozenset(paths), frozenset(texts))


def _problem(project: Project, file: str, step: Step, found: _Wider) -> Problem:
    name = found.path[-1]
    lines = project.files[file].decode("utf-8-sig", "replace").splitlines()
    key = re.compile(rf"(?<![\w-]){re.escape(name)}\s*:")
    hits = ((at, hit) for at in range(max(step.line, 1), len(lines) + 1) if (hit := key.search(lines[at - 1])))
    line, column = next(((at, hit.start() + 1) for at, hit in hits), (step.line, None))
    detail = (
        f"'{name}' of '{step.target}' may be {_listed(found.wrong)} here, and it takes {_listed(found.taken)} only:"
        " such a run fails at this step."
    )
    hint = "Give the step a 'when' that asks for what is taken, catch the others with 'on_error', or let it take them."
    return Problem(detail, file, line, column, suggestion=hint, code="wider-list")


def _listed(texts: frozenset[str]) -> str:
    shown = [f"'{text}'" for text in sorted(texts)[:MAX_LISTED]]
    if len(texts) > MAX_LISTED:
        shown.append("others")
    return " or ".join((", ".join(shown[:-1]), shown[-1])) if len(shown) > 1 else shown[0]
