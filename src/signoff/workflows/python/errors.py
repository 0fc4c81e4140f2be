"""What a workflow in Python may meet: failures of its steps, which it may catch, and what parks its run."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from signoff.core.errors import NonDeterminismError


class StepFailed(Exception):  # noqa: N818  (workflow code catches it as an event of its run, not as a fault of Signoff)
    """A step failed for good: its retries are over. Raised where the step was awaited; uncaught, the run fails.

    Attributes:
        path: the step's path in its run.
        kind: a stable name of the reason, in snake case (`timeout`, `forbidden`, `contract`, …).
        detail: what went wrong, as a sentence for a person.
        error: all that the journal says of it.
    """

    def __init__(self, path: str, error: Mapping[str, Any]) -> None:
        self.path = path
        self.kind = str(error.get("kind", "error"))
        self.detail = str(error.get("detail", ""))
        self.error = dict(error)
        super().__init__(f"{path} failed ({self.kind}): {self.detail}")


class StepBlocked(StepFailed):
    """A step did not run, because something that it requires was not approved or is not done. `kind` is `blocked`."""


class WorkflowFailed(Exception):  # noqa: N818  (the name that a workflow's author reads and writes)
    """Raised by a workflow to fail its run with a reason of its own; what was done is undone.

    Attributes:
        kind: a stable name of the reason, in snake case.
        detail: a sentence for a person.
    """

    def __init__(self, detail: str, *, kind: str = "workflow") -> None:
        super().__init__(detail)
        self.kind = kind
        self.detail = detail


class CommandMismatchError(NonDeterminismError):
    """Run again over its journal, a workflow asked for something else than is recorded. Its run is parked, not failed.

    Members: `recorded` and `now`, each a command with its step, verb, target and, as far as known, file and line.
    """

    code = "command-mismatch"


class NonResponsiveError(NonDeterminismError):
    """The code of a workflow did not come to its next await in time, and was interrupted. Its run is parked.

    Looking at it costs the worker as much again, so that happens only when somebody wakes the run, or hours later.
    """

    code = "non-responsive"
    title = "The workflow's code does not come to an await"


class ForeignAwaitError(NonDeterminismError):
    """A workflow awaited what its journal cannot give back: something of asyncio or of a library. Its run is parked."""

    code = "foreign-await"
    title = "The workflow awaits something that is no command"
