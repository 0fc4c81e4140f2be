"""The known mistakes of prompts, each with an id: `docs/reference/prompts.md#lint` says why each is one."""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any, cast

from signoff.catalog.prompts import Prompt
from signoff.catalog.templates import variables_of
from signoff.core.errors import Problem
from signoff.core.labels import DataClass

PAGE = "docs/reference/prompts.md#lint"
"""Where each id is explained."""
MOST_TEXT = 12_000
"""Longer templates are asked about, in characters: about 3,000 tokens of instructions."""
FEWEST_EXAMPLES = 2
CHARACTERS_PER_TOKEN = 4

_JSON_TALK = re.compile(r"\b(only|valid|strict(ly)?|raw)\s+json\b|\bjson\s+only\b|```", re.IGNORECASE)
_REASONING = re.compile(
    r"\b(step[- ]by[- ]step|think\s+(carefully|first|aloud)|chain[- ]of[- ]thought)\b", re.IGNORECASE
)
_LEFTOVER = re.compile(
    r"\b(todo|fixme|xxx|tbd|lorem ipsum)\b|\[(insert|your|name)\b[^\]]*\]|<(insert|your)[^>]*>", re.IGNORECASE
)
_SINGLE_BRACES = re.compile(r"(?<![{%#])\{\s*([A-Za-z_]\w*)\s*\}(?!\})")
_TODAY = re.compile(r"\b(today'?s?|current (date|time|year)|right now|as of now)\b", re.IGNORECASE)
_SECRET = re.compile(
    r"\b(sk-[A-Za-z0-9_-]{16,}|AKIA[0-9A-Z]{16}|gh[pousr]_[A-Za-z0-9]{20,}|xox[abp]-[A-Za-z0-9-]{10,})\b"
)
_MAIL = re.compile(r"\b[A-Za-z0-9._%+-]{1,64}@(?!example\.(com|org|net)\b)[A-Za-z0-9-]+\.[A-Za-z]{2,}\b")
_CARD = re.compile(r"\b(?:\d[ -]?){13,19}\b")
_OTHER = frozenset({"other", "unknown", "none", "unclear", "unsure", "neither", "else", "misc", "out_of_scope"})


@dataclass(frozen=True, slots=True)
class LintRule:
    """A known mistake.

    Attributes:
        id: stable, for `--ignore` and for reading on.
        about: what is wrong with it, in a sentence.
        suggestion: what to do.
        find: gives what is wrong in a prompt, and where in its file, from line 1 (0 for the prompt as a whole).
    """

    id: str
    about: str
    suggestion: str
    find: Callable[[Prompt, str], Iterator[tuple[str, int]]]


def lint(prompt: Prompt, text: str) -> list[Problem]:
    """The known mistakes in one prompt.

    Args:
        prompt: as read.
        text: its file, for places.
    """
    return [
        Problem(detail, prompt.file, line or None, suggestion=f"{rule.suggestion} ({PAGE})", code=rule.id)
        for rule in RULES
        for detail, line in rule.find(prompt, text)
    ]


def _lines(pattern: re.Pattern[str], text: str) -> Iterator[tuple[str, int]]:
    """What a pattern finds in the body of a file, behind the front matter."""
    start = 0
    for number, line in enumerate(text.splitlines(), start=1):
        if line.rstrip() == "---":
            start += 1
        elif start > 1 and (found := pattern.search(line)):
            yield found.group(0), number


def _sources(prompt: Prompt) -> Iterator[tuple[str, str]]:
    for place, (role, source) in enumerate(prompt.sections):
        yield role, source
        for alternative in prompt.alternatives[place] if prompt.alternatives else ():
            yield role, alternative.source


def _data_in_system(prompt: Prompt, _: str) -> Iterator[tuple[str, int]]:
    names = {name for role, source in _sources(prompt) if role == "system" for name in variables_of(source)}
    if names:
        yield f"The system message prints {', '.join(sorted(names))}.", 0


def _unbounded_input(prompt: Prompt, _: str) -> Iterator[tuple[str, int]]:
    for name, schema in _properties(prompt.input_schema).items():
        if schema.get("type") == "string" and not {"maxLength", "enum", "const", "format"} & schema.keys():
            yield f"The input '{name}' may be as long as anybody likes.", 0


def _unbounded_output(prompt: Prompt, _: str) -> Iterator[tuple[str, int]]:
    for name, schema in _properties(prompt.output_schema).items():
        if schema.get("type") == "string" and not {"maxLength", "enum", "const", "format", "pattern"} & schema.keys():
            yield f"The output '{name}' may be any text of any length.", 0


def _no_escape(prompt: Prompt, _: str) -> Iterator[tuple[str, int]]:
    if prompt.task == "classify" and not any(label.lower() in _OTHER for label in prompt.labels):
        yield "None of the labels is for what fits no other.", 0


def _alike_labels(prompt: Prompt, _: str) -> Iterator[tuple[str, int]]:
    seen: dict[str, str] = {}
    for label, about in prompt.labels.items():
        words = " ".join(sorted(re.findall(r"\w+", about.lower())))
        if words and words in seen:
            yield f"The labels '{seen[words]}' and '{label}' are described alike.", 0
        seen.setdefault(words, label)


def _uneven_examples(prompt: Prompt, _: str) -> Iterator[tuple[str, int]]:
    counts = dict.fromkeys(prompt.labels, 0)
    for example in prompt.examples:
        label = example.output.get("label")
        if label in counts:
            counts[label] += 1
    without = [label for label, count in counts.items() if not count]
    if prompt.examples and without:
        yield f"No example is of {', '.join(without)}.", 0


def _tests_are_examples(prompt: Prompt, _: str) -> Iterator[tuple[str, int]]:
    for test in prompt.tests:
        if any(example.input == test.input for example in prompt.examples):
            yield f"The test '{test.name}' is one of the examples that the model is shown.", test.line


def _no_tests(prompt: Prompt, _: str) -> Iterator[tuple[str, int]]:
    if not prompt.tests:
        yield "The prompt has no tests.", 0


def _no_owner(prompt: Prompt, _: str) -> Iterator[tuple[str, int]]:
    if not prompt.owners and prompt.data_class >= DataClass.CONFIDENTIAL:
        yield f"Nobody owns a prompt for {prompt.data_class.name.lower()} data.", 0


def _asks_for_json(_: Prompt, text: str) -> Iterator[tuple[str, int]]:
    for found, line in _lines(_JSON_TALK, text):
        yield f"'{found}' says in words what the output contract enforces.", line


def _no_room_to_reason(prompt: Prompt, text: str) -> Iterator[tuple[str, int]]:
    has_field = any(re.search(r"reason|thought|rationale|steps", name) for name in _properties(prompt.output_schema))
    if not has_field:
        for found, line in _lines(_REASONING, text):
            yield f"'{found}', and the output has no field that the reasoning could go to.", line


def _leftovers(_: Prompt, text: str) -> Iterator[tuple[str, int]]:
    for found, line in _lines(_LEFTOVER, text):
        yield f"'{found}' was left over.", line


def _single_braces(prompt: Prompt, text: str) -> Iterator[tuple[str, int]]:
    names = _properties(prompt.input_schema).keys()
    for found, line in _lines(_SINGLE_BRACES, text):
        if found.strip("{} ") in names:
            yield f"'{found}' is printed as it stands.", line


def _knows_today(prompt: Prompt, text: str) -> Iterator[tuple[str, int]]:
    if not any(re.search(r"date|time|today|now|year", name) for name in _properties(prompt.input_schema)):
        for found, line in _lines(_TODAY, text):
            yield f"'{found}', and no variable tells the model.", line


def _secrets(_: Prompt, text: str) -> Iterator[tuple[str, int]]:
    for number, line in enumerate(text.splitlines(), start=1):
        if _SECRET.search(line):
            yield "This looks like a credential.", number


def _personal_data(_: Prompt, text: str) -> Iterator[tuple[str, int]]:
    for number, line in enumerate(text.splitlines(), start=1):
        card = _CARD.search(line)
        if _MAIL.search(line) or (card and _luhn(card.group(0))):
            yield "This looks like a person's own data (an address, a card).", number


def _luhn(text: str) -> bool:
    """Whether the last digit checks the others (ISO/IEC 7812-1, annex B), as that of a card does."""
    digits = [int(sign) for sign in text if sign.isdigit()][::-1]
    return sum(digit if place % 2 == 0 else sum(divmod(digit * 2, 10)) for place, digit in enumerate(digits)) % 10 == 0


def _unseen_characters(_: Prompt, text: str) -> Iterator[tuple[str, int]]:
    for number, line in enumerate(text.removeprefix("\ufeff").splitlines(), start=1):
        hidden = {f"U+{ord(sign):04X}" for sign in line if unicodedata.category(sign) in ("Cf", "Co", "Cn")}
        if hidden:
            yield f"The line holds characters that nobody sees: {', '.join(sorted(hidden))}.", number


def _too_long(prompt: Prompt, _: str) -> Iterator[tuple[str, int]]:
    length = sum(len(source) for _, source in prompt.sections)
    if length > MOST_TEXT:
        yield f"The templates have {length} characters.", 0


def _answer_is_cut(prompt: Prompt, _: str) -> Iterator[tuple[str, int]]:
    longest = sum(_longest(schema) for schema in _properties(prompt.output_schema).values())
    if longest // CHARACTERS_PER_TOKEN > prompt.max_output_tokens:
        yield (
            f"A long answer is cut: it may have {longest} characters, and {prompt.max_output_tokens} tokens.",
            0,
        )


def _longest(schema: Mapping[str, Any]) -> int:
    if "enum" in schema:
        return max((len(str(value)) for value in schema["enum"]), default=0)
    longest = schema.get("maxLength")
    return longest if isinstance(longest, int) else 0


def _variants_differ(prompt: Prompt, _: str) -> Iterator[tuple[str, int]]:
    for (role, source), alternatives in zip(prompt.sections, prompt.alternatives, strict=False):
        expected = variables_of(source)
        for alternative in alternatives:
            missing = sorted(expected - variables_of(alternative.source))
            if missing:
                conditions = ", ".join(f"{name}={value}" for name, value in alternative.conditions.items())
                yield (
                    f"'# {role} ({conditions})' prints no {', '.join(missing)}, as the section it stands in for does.",
                    0,
                )


def _few_examples(prompt: Prompt, _: str) -> Iterator[tuple[str, int]]:
    if prompt.task == "classify" and len(prompt.examples) < FEWEST_EXAMPLES * len(prompt.labels):
        yield f"There are {len(prompt.examples)} examples for {len(prompt.labels)} labels.", 0


def _properties(schema: Mapping[str, Any]) -> dict[str, Mapping[str, Any]]:
    found = cast("Mapping[str, Any]", schema.get("properties") or {})
    return {name: inner for name, inner in found.items() if isinstance(inner, Mapping)}


RULES: tuple[LintRule, ...] = (
    LintRule("P001", "data in the system message", "Print data in the user message.", _data_in_system),
    LintRule("P002", "unbounded input", "Give it a maxLength.", _unbounded_input),
    LintRule("P003", "unbounded output", "Give it a maxLength, an enum or a pattern.", _unbounded_output),
    LintRule("P004", "no label for the rest", "Add one such as 'other'.", _no_escape),
    LintRule("P005", "labels described alike", "Say what tells them apart.", _alike_labels),
    LintRule("P006", "labels without an example", "Add some, or none at all.", _uneven_examples),
    LintRule("P007", "too few examples", "Classifiers learn from examples: two per label at least.", _few_examples),
    LintRule("P008", "tests that are examples", "Test on what the model has not seen.", _tests_are_examples),
    LintRule("P009", "no tests", "Add 'tests: [{name, input, expect}]'.", _no_tests),
    LintRule("P010", "no owner", "Add 'owners: [user/…]'.", _no_owner),
    LintRule("P011", "asks for JSON in words", "Leave it to the contract.", _asks_for_json),
    LintRule(
        "P012", "no room to reason", "Add a field for it before the answer's, or leave it out.", _no_room_to_reason
    ),
    LintRule("P013", "text left over", "Write it, or take it out.", _leftovers),
    LintRule("P014", "single braces", "Write {{ name }}.", _single_braces),
    LintRule("P015", "asks for today", "Give the date as a variable.", _knows_today),
    LintRule("P016", "a credential", "Take it out, and revoke it.", _secrets),
    LintRule("P017", "personal data", "Make one up: example.com, 4242 4242 … is not made up.", _personal_data),
    LintRule("P018", "characters nobody sees", "Take them out.", _unseen_characters),
    LintRule("P019", "long instructions", "Split the task, or move knowledge to an index.", _too_long),
    LintRule("P020", "the answer is cut", "Raise 'limits.max_output_tokens', or bound the answer.", _answer_is_cut),
    LintRule("P021", "variants differ in data", "Print the same variables in each.", _variants_differ),
)
"""Every rule, by id."""
