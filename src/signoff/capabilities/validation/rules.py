"""Checks values against a named rule: all of its conditions, each told by its id when it is broken."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from signoff.capabilities.validation.scopes import Values
from signoff.catalog.rules import Condition, Rule, Severity
from signoff.core.errors import Problem, StepError
from signoff.core.schemas import validate
from signoff.workflows.errors import Blocked, ExpressionError


@dataclass(frozen=True, slots=True)
class Broken:
    """A condition that was not met.

    Attributes:
        id: the condition's.
        severity: block, review or warn.
        message: for people, as the rule says it.
    """

    id: str
    severity: Severity
    message: str

    def as_dict(self) -> dict[str, str]:
        """The broken condition for JSON."""
        return {"id": self.id, "severity": self.severity, "message": self.message}


@dataclass(frozen=True, slots=True)
class CheckResult:
    """What checking found.

    Attributes:
        broken: the conditions that were not met, in the rule's order.
    """

    rule: str
    broken: tuple[Broken, ...] = ()

    @property
    def passed(self) -> bool:
        """Whether nothing was broken but what is only told (`warn`)."""
        return all(broken.severity == "warn" for broken in self.broken)

    @property
    def review(self) -> bool:
        """Whether a broken condition asks for a person."""
        return any(broken.severity == "review" for broken in self.broken)

    def as_dict(self) -> dict[str, Any]:
        """The result as the `check` verb's output (`CHECK_OUTPUT_SCHEMA`)."""
        return {
            "passed": self.passed,
            "review": self.review,
            "reasons": self._messages("review"),
            "warnings": self._messages("warn"),
            "broken": [broken.as_dict() for broken in self.broken],
        }

    def _messages(self, severity: Severity) -> list[str]:
        return [broken.message for broken in self.broken if broken.severity == severity]

    def require(self) -> None:
        """Return unless a condition that blocks was broken.

        Raises:
            StepError: kind `rule`, with every broken condition that blocks.
        """
        blocking = [broken for broken in self.broken if broken.severity == "block"]
        if blocking:
            problems = [Problem(broken.message, code=broken.id) for broken in blocking]
            raise StepError(
                f"Rule '{self.rule}' is broken: {' '.join(broken.message for broken in blocking)}",
                kind="rule",
                problems=problems,
            )


def check(rule: Rule, values: Mapping[str, Any]) -> CheckResult:
    """Which of a rule's conditions the values break. All are evaluated, so that a person sees everything at once.

    Raises:
        StepError: kind `arguments`, the values break the rule's input schema; kind `rule_error`, a condition cannot be
            evaluated on them or gives no boolean. A condition that fails is never taken for one that is met.
    """
    problems = validate(rule.input_schema, values)
    if problems:
        raise StepError(
            f"The values break the input schema of rule '{rule.name}'.", kind="arguments", problems=problems
        )
    scope = Values(values)
    broken: list[Broken] = []
    for condition in rule.conditions:
        met = _evaluate(rule, condition, scope, problems)
        if met is False:
            broken.append(Broken(condition.id, condition.severity, condition.message))
    if problems:
        raise StepError(
            f"Rule '{rule.name}' could not be checked: {problems[0].detail}", kind="rule_error", problems=problems
        )
    return CheckResult(rule.name, tuple(broken))


def _evaluate(rule: Rule, condition: Condition, scope: Values, problems: list[Problem]) -> bool | None:
    try:
        met = condition.expression.evaluate(scope)
    except Blocked as error:
        problems.append(_problem(rule, condition, f"the field '{error.by}' is not there"))
    except ExpressionError as error:
        problems.append(_problem(rule, condition, error.detail))
    else:
        if isinstance(met, bool):
            return met
        problems.append(_problem(rule, condition, "its result is not true or false"))
    return None


def _problem(rule: Rule, condition: Condition, why: str) -> Problem:
    detail = f"Condition '{condition.id}': {why}."
    return Problem(detail, file=rule.file or None, line=condition.line or None, code=condition.id)
