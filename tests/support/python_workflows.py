"""Workflows in Python as tests write them: functions of the test's own file, with a head that fits anything."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from signoff.core.ids import digest
from signoff.workflows.model import Limits, Outcome, PythonFunction, Workflow
from signoff.workflows.python.authoring import WorkflowFunction
from signoff.workflows.templates import Constant


def python_workflow(
    name: str, function: WorkflowFunction | Callable[..., Any], *outcomes: str, requires: tuple[str, ...] = ()
) -> Workflow:
    """A workflow of that code; its digest says nothing of the code, as if it came from the same release."""
    return Workflow(
        name=f"test/{name}",
        version="1.0.0",
        about="",
        owner="",
        risk="low",
        goals={},
        limits=Limits(),
        input_schema={"type": "object"},
        steps=(),
        outcomes=tuple(Outcome(outcome, Constant(True, "true")) for outcome in outcomes or ("ok",)),
        digest=digest(name.encode()),
        file=f"workflows/{name}.py",
        python=PythonFunction(name, 1, lambda: function, requires),
    )
