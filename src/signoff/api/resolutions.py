"""What a person says of an effect whose outcome nobody knows: checked while they can still correct it."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from signoff.catalog import Project
from signoff.core.errors import InvalidError, Problem, did_you_mean
from signoff.core.schemas import validate

KIND = "effect.resolution"
RESOLUTIONS = ("happened", "retry", "failed")
UNDO = "/undo"


def check_resolution(project: Project, workflow: str, path: str, data: Mapping[str, Any]) -> None:
    """Return only where it is one that the step can take: later steps read its output as the tool's own.

    The output of a compensation is not looked at, since nothing reads it.

    Args:
        project: of the release that the run pinned.
        workflow: the run's.
        path: the step, or `step/undo`.
        data: `{resolution, output}`.

    Raises:
        InvalidError: no such step or resolution, or the output breaks the tool's contract; one problem per field.
    """
    problems = _problems(project, workflow, path, data)
    if problems:
        raise InvalidError("This does not say what became of the effect.", problems=problems)


def _problems(project: Project, workflow: str, path: str, data: Mapping[str, Any]) -> list[Problem]:
    definition = project.workflows[workflow]
    steps = {step.name: step for step in definition.steps}
    step = steps.get(path.removesuffix(UNDO))
    if definition.python is None and step is None:
        detail = f"Workflow '{workflow}' has no step '{path}'."
        return [Problem(detail, pointer="/step", suggestion=did_you_mean(path, tuple(steps)), code="unknown-name")]
    said = data.get("resolution")
    if said not in RESOLUTIONS:
        hint = did_you_mean(said, RESOLUTIONS) if isinstance(said, str) else None
        detail = "'resolution' is happened, retry or failed."
        return [Problem(detail, pointer="/data/resolution", suggestion=hint, code="unknown-value")]
    if said != "happened" or path.endswith(UNDO):
        return []
    output = data.get("output")
    if not isinstance(output, Mapping):
        target = "the step" if step is None else step.target
        detail = f"'output' is the object that {target} would have answered with."
        return [Problem(detail, pointer="/data/output", code="wrong-type")]
    tool = None if step is None else project.tools.get(step.target)  # of code, the worker knows it and checks
    found = validate(tool.output_schema, output) if tool is not None else []
    return [Problem(problem.detail, pointer=f"/data/output{problem.pointer}", code=problem.code) for problem in found]
