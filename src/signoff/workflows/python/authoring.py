"""`@workflow`: what makes a function of a project's file a workflow."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping, Sequence
from typing import Any

from signoff.workflows.python.commands import Continuation, RunOutcome
from signoff.workflows.python.context import Context

WorkflowFunction = Callable[[Context, dict[str, Any]], Awaitable[RunOutcome | Continuation]]
"""A workflow: `async def` of a context and the run's input."""

MARK = "__signoff_workflow__"
"""The attribute that the decorator sets: the workflow's name."""


def workflow(
    name: str,
    /,
    *,
    version: str,
    input: str | Mapping[str, Any],  # noqa: A002, ARG001  (the language's own key)
    outcomes: Sequence[str],  # noqa: ARG001  (read from the source: see below)
    about: str = "",  # noqa: ARG001  (likewise)
    owner: str = "",  # noqa: ARG001  (likewise)
    risk: str = "medium",  # noqa: ARG001  (likewise)
    goals: Mapping[str, Any] | None = None,  # noqa: ARG001  (likewise)
    limits: Mapping[str, Any] | None = None,  # noqa: ARG001  (likewise)
) -> Callable[[WorkflowFunction], WorkflowFunction]:
    """Make an `async def` of `(ctx, input)` a workflow of its project. The keys are those of a YAML workflow's head.

    All of them are constants, because a project is read and checked without running any code of it: `signoff check`,
    the catalogue and the API take them from the source text (`heads.py`), and only workers import the file.

    Args:
        name: as runs are started by it, e.g. `support/refund`.
        version: its semantic version.
        input: the file of the input's JSON Schema, or the schema itself.
        outcomes: the names that `ctx.outcome` may be given.
        about: one sentence for people.
        owner: who answers for it, e.g. `team/support`.
        risk: low, medium or high.
        goals: what it is for, as numbers by name.
        limits: `cost`, `time`, `events` of one run.
    """

    def mark(function: WorkflowFunction) -> WorkflowFunction:
        setattr(function, MARK, (name, version))
        return function

    return mark
