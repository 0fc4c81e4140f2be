"""Queues and schedules against the rest of their project: what they name has to be there, and to fit."""

from __future__ import annotations

from collections.abc import Iterator

from signoff.catalog.model import Project
from signoff.core.errors import Problem, did_you_mean
from signoff.core.schemas import validate
from signoff.runtime.starting import Schedule
from signoff.runtime.starting.schedules import NAME_REFERENCE, TIME_REFERENCE

MANIFEST = "signoff.yaml"
_A_TIME = "2026-01-01T00:00:00Z"


def check_starts(project: Project) -> Iterator[Problem]:
    """Everything that queues and schedules name and that is not there, or that could never start."""
    for queue in project.queues.values():
        for workflow in queue.workflows:
            if workflow not in project.workflows:
                yield _unknown(MANIFEST, f"Queue '{queue.name}'", "workflow", workflow, tuple(project.workflows))
    for name, schedule in project.schedules.items():
        yield from _schedule(project, _file(project, name), schedule)


def _schedule(project: Project, file: str, schedule: Schedule) -> Iterator[Problem]:
    what = f"Schedule '{schedule.name}'"
    if schedule.queue is not None and schedule.queue not in project.queues:
        yield _unknown(file, what, "queue", schedule.queue, tuple(project.queues))
    for role in schedule.roles:
        if role not in project.roles:
            yield _unknown(file, what, "role", role, tuple(project.roles))
    workflow = project.workflows.get(schedule.workflow)
    if workflow is None:
        yield _unknown(file, what, "workflow", schedule.workflow, tuple(project.workflows))
        return
    texts = {TIME_REFERENCE: _A_TIME, NAME_REFERENCE: schedule.name}
    value = {key: texts.get(given, given) if isinstance(given, str) else given for key, given in schedule.input.items()}
    for problem in validate(workflow.input_schema, value):
        detail = f"'input' does not match the schema of '{workflow.name}': {problem.detail}"
        yield Problem(detail, file, pointer=problem.pointer, code=problem.code)


def _file(project: Project, name: str) -> str:
    """The file of a schedule: most often the one of its name."""
    files = [file for file in project.files if file.startswith("schedules/")]
    return next(
        (file for file in files if file == f"schedules/{name}.yaml"), files[0] if len(files) == 1 else "schedules/"
    )


def _unknown(file: str, what: str, kind: str, name: str, known: tuple[str, ...]) -> Problem:
    suggestion = did_you_mean(name, known) or f"There is: {', '.join(known) or 'none'}."
    return Problem(
        f"{what} names a {kind} '{name}', which is not there.", file, suggestion=suggestion, code="unknown-name"
    )
