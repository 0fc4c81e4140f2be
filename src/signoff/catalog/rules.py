"""Named rules for `check`: `rules/*.yaml` of a project. Conditions in CEL that data must meet, and what if not."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Literal

from signoff.core.values import value
from signoff.workflows.model import Contract, Expression

Severity = Literal["block", "review", "warn"]

CHECK_OUTPUT_SCHEMA: Mapping[str, Any] = {
    "type": "object",
    "properties": {
        "passed": {"type": "boolean"},
        "review": {"type": "boolean"},
        "reasons": {"type": "array", "items": {"type": "string"}},
        "warnings": {"type": "array", "items": {"type": "string"}},
        "broken": {
            "type": "array",
            "items": {
                "type": "object",
                "properties": {
                    "id": {"type": "string"},
                    "severity": {"enum": ["block", "review", "warn"]},
                    "message": {"type": "string"},
                },
                "required": ["id", "severity", "message"],
            },
        },
    },
    "required": ["passed", "review", "reasons", "warnings", "broken"],
    "additionalProperties": False,
}
"""What a `check` step gives: whether nothing was broken but warnings; whether a person is asked for, and why; what is
only told; and every broken condition."""


@value
class Condition:
    """One condition of a rule.

    Attributes:
        id: stable name, for journals and reports.
        expression: compiled CEL over the fields of the rule's input; true means met.
        severity: what a broken one means: block fails the step, review asks for a person, warn is told.
        message: for people, what is wrong when it is broken.
        line: its line in the file, from 1.
    """

    id: str
    expression: Expression
    severity: Severity
    message: str
    line: int = 0


@value
class Rule:
    """A named rule: conditions that are checked together on one input.

    Attributes:
        name: as documents name it.
        about: one sentence for people.
        input_schema: JSON Schema of what it is checked on, an object; its properties are the conditions' variables.
        conditions: in order; all are evaluated.
        file: its file in the project.
        digest: SHA-256 of that file, hexadecimal.
    """

    name: str
    about: str
    input_schema: Mapping[str, Any]
    conditions: tuple[Condition, ...]
    file: str = ""
    digest: str = ""

    @property
    def contract(self) -> Contract:
        """The part that the language must know."""
        return Contract(self.input_schema, CHECK_OUTPUT_SCHEMA)
