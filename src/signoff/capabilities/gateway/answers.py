"""An answer is judged here: strict JSON, then its schema; and what a model is told to do better."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any, cast

import orjson

from signoff.capabilities.gateway.model import MAX_ANSWER_CHARACTERS, AnswerCheck
from signoff.capabilities.gateway.provider import ProviderReply
from signoff.catalog.prompts import PromptMessage
from signoff.core.errors import Problem
from signoff.core.json_texts import rounded_number
from signoff.core.schemas import validate
from signoff.core.values import value

MAX_PROBLEMS = 5
"""How many problems of one answer are kept and shown to the model: the first ones usually cause the rest."""
MAX_PROBLEM_CHARACTERS = 300
"""A problem may quote the answer, which may quote the customer: it is cut, so that no error carries whole contents."""
MAX_REPEATED_ANSWER_CHARACTERS = 4_000
"""How much of a wrong answer a model is shown again in a repair."""

_FENCE = "```"


@value
class Judged:
    """An answer's output, or what is wrong with it; one of the two is empty."""

    output: Mapping[str, Any]
    problems: tuple[Problem, ...] = ()


def _as_it_is(value: Any) -> Any:
    return value


def judge(
    reply: ProviderReply,
    output_schema: Mapping[str, Any] | None,
    restore: Callable[[Any], Any] = _as_it_is,
    checks: Sequence[AnswerCheck] = (),
) -> Judged:
    """The output of a reply, if it is one JSON object (RFC 8259, strictly) that meets the schema.

    Args:
        reply: what came back.
        output_schema: its contract; none where it may be any text.
        restore: puts back what the model was not shown: after parsing, as a value may hold any sign, and before the
            schema is asked, as it is about the value.
        checks: asked once the schema is met; the first that finds something decides.
    """
    if len(reply.text) > MAX_ANSWER_CHARACTERS:
        return _broken(f"The answer is longer than {MAX_ANSWER_CHARACTERS} characters.", "answer-too-long")
    if output_schema is None:
        cut = reply.finish_reason == "length"
        whole = Judged({"text": restore(reply.text)})
        return _broken("The text was cut off at the token limit.", "answer-cut") if cut else whole
    value = _object_of(reply)
    if isinstance(value, Judged):
        return value
    value = cast("dict[str, Any]", restore(value))
    found = validate(output_schema, value)
    for check in checks:
        # Rules across fields are about values that are there and of their types.
        found = found or list(check(value))
    problems = tuple(_bounded(problem) for problem in found[:MAX_PROBLEMS])
    return Judged({} if problems else value, problems)


def _object_of(reply: ProviderReply) -> dict[str, Any] | Judged:
    """The one JSON object of an answer, or what is wrong with it."""
    try:
        value: Any = orjson.loads(text := _without_fence(reply.text))
    except orjson.JSONDecodeError as error:
        if reply.finish_reason == "length":
            return _broken("The answer was cut off at the token limit before its JSON ended.", "answer-cut")
        return _broken(f"The answer is not JSON: {error.msg} at character {error.pos}.", "not-json")
    if not isinstance(value, dict):
        return _broken(f"The answer is a JSON {type(value).__name__}, not an object.", "not-an-object")
    if (place := rounded_number(text, value)) is not None:
        return _broken(f"The whole number at character {place} of the answer has more than 64 bits.", "number-too-wide")
    return cast("dict[str, Any]", value)


def repair_messages(
    messages: Sequence[PromptMessage],
    reply: ProviderReply,
    problems: Sequence[Problem],
    conceal: Callable[[str], str] = str,
) -> tuple[PromptMessage, ...]:
    """The conversation so far, the wrong answer, and what is wrong with it; `conceal` hides what it may not see."""
    listed = conceal("\n".join(f"- {problem}" for problem in problems))
    return (
        *messages,
        PromptMessage("assistant", reply.text[:MAX_REPEATED_ANSWER_CHARACTERS] or "(empty)"),
        PromptMessage(
            "user",
            f"That answer breaks its contract:\n{listed}\nAnswer again with the corrected JSON object only.",
        ),
    )


def _without_fence(text: str) -> str:
    """The text inside a Markdown code fence that surrounds all of it: models add one whatever they are told."""
    stripped = text.strip()
    if not (stripped.startswith(_FENCE) and stripped.endswith(_FENCE) and len(stripped) > 2 * len(_FENCE)):
        return stripped
    first_line, newline, rest = stripped.partition("\n")
    if not newline or first_line.strip() not in (_FENCE, f"{_FENCE}json"):
        return stripped
    return rest[: -len(_FENCE)]


def _broken(detail: str, code: str) -> Judged:
    return Judged({}, (Problem(detail, pointer="", code=code),))


def _bounded(problem: Problem) -> Problem:
    if len(problem.detail) <= MAX_PROBLEM_CHARACTERS:
        return problem
    return Problem(f"{problem.detail[:MAX_PROBLEM_CHARACTERS]}…", pointer=problem.pointer, code=problem.code)
