"""A prompt's own test cases: held against an answer, whoever gave it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, cast

from signoff.catalog.prompts import Prompt, PromptTest
from signoff.core.labels import BOTTOM, Labels
from signoff.core.schemas import validate
from signoff.workflows.errors import Blocked, ExpressionError


@dataclass(frozen=True, slots=True)
class CaseResult:
    """What became of a case.

    Attributes:
        wrong: what is wrong with the answer, in words; nothing where it passed.
        model: who answered.
        answer: what a step would give; none where there was no answer.
        signals: what its confidence is made of, by name; empty where the prompt declares none.
    """

    prompt: str
    version: str
    case: str
    wrong: tuple[str, ...] = ()
    model: str = ""
    answer: Mapping[str, Any] | None = None
    signals: Mapping[str, float] = field(default_factory=dict[str, float])

    @property
    def passed(self) -> bool:
        """Whether the answer was as expected."""
        return not self.wrong

    def as_dict(self) -> dict[str, Any]:
        """The result for JSON."""
        return {
            "prompt": self.prompt,
            "version": self.version,
            "case": self.case,
            "passed": self.passed,
            "wrong": list(self.wrong),
            "model": self.model,
            "answer": None if self.answer is None else dict(self.answer),
            "signals": dict(self.signals),
        }


class _Answer:
    """An answer as the scope of a case's conditions: each field is a root."""

    def __init__(self, values: Mapping[str, Any]) -> None:
        self._values = values

    def value(self, root: str) -> Any:
        return self._values[root]

    def readable(self, root: str) -> bool:
        return root in self._values

    def labels(self, root: str, path: tuple[str, ...]) -> Labels:  # noqa: ARG002  (nothing flows on from a test)
        return BOTTOM


def judge(prompt: Prompt, test: PromptTest, answer: Mapping[str, Any]) -> tuple[str, ...]:
    """What is wrong with what a step would give, in words; nothing where the case passes."""
    schema = prompt.contract.output_schema or {}
    wrong = [f"breaks the contract: {problem.detail}" for problem in validate(schema, dict(answer))]
    wrong += _differences(test.expect, answer, "")
    scope = _Answer(answer)
    for condition in test.asserts:
        try:
            met = condition.evaluate(scope)
        except (Blocked, ExpressionError) as error:
            wrong.append(f"{condition.source}: {error}")
        else:
            if met is not True:
                wrong.append(f"{condition.source} is not so")
    return tuple(wrong)


def _differences(expected: Any, given: Any, at: str) -> list[str]:
    """Where a value lacks what is expected. Of an object, fields that nothing is said of may be anything."""
    if isinstance(expected, Mapping) and isinstance(given, Mapping):
        known = cast("Mapping[str, Any]", given)
        found: list[str] = []
        for name, value in cast("Mapping[str, Any]", expected).items():
            place = f"{at}.{name}" if at else name
            found += _differences(value, known[name], place) if name in known else [f"{place} is not there"]
        return found
    same = expected == given and isinstance(expected, bool) == isinstance(given, bool)
    return [] if same else [f"{at} is {given!r}, not {expected!r}"]
