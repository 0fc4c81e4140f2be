"""Workflows in Python: the same verbs as methods, the same journal. What a project's files import is here.

How one is run is in `driver.py`, how its head is read without running it in `heads.py`, what `signoff check` says of
its code in `lint.py`.
"""

from signoff.workflows.python.authoring import workflow
from signoff.workflows.python.commands import Continuation, Result, RunOutcome
from signoff.workflows.python.context import Context
from signoff.workflows.python.errors import StepBlocked, StepFailed, WorkflowFailed

__all__ = ["Context", "Continuation", "Result", "RunOutcome", "StepBlocked", "StepFailed", "WorkflowFailed", "workflow"]
