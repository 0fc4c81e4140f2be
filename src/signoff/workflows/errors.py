"""What evaluating an expression of a workflow can end in besides a value."""

from __future__ import annotations

from signoff.core.errors import SignoffError


class ExpressionError(SignoffError):
    """An expression failed: a missing field, a wrong type, a division by zero. Its step fails (rule 4)."""

    code = "expression"
    title = "Expression failed"


class Blocked(SignoffError):  # noqa: N818  (it is a state of the reader, not a fault)
    """An expression reads the data of a step that is not done; the reader ends blocked (rule 3).

    Attributes:
        by: the step whose data is not there.
    """

    code = "blocked"
    title = "Blocked"

    def __init__(self, by: str) -> None:
        super().__init__(f"'{by}' has no data to read")
        self.by = by
