"""What CEL's parser says, in our words: people write what other languages have, and are told what CEL has for it."""

from __future__ import annotations

import re
from collections.abc import Mapping

from signoff.workflows.checking import Finding
from signoff.workflows.syntax import Fault

_TOO_DEEP = re.compile(r"recursion limit exceeded")
_MISSING = re.compile(r"missing ('.*?') at")
_RESERVED = re.compile(r"reserved identifier: (\w+)")
_UNREAD = re.compile(r"(?:input|at:) '(.*?)'(?: expecting .*)?$")
_WORD_BEFORE = re.compile(r"([A-Za-z]+)\s*$")
_END = "<EOF>"
_ELSEWHERE: Mapping[str, str] = {
    "and": "&& for 'and'",
    "or": "|| for 'or'",
    "not": "! for 'not', as in !(a && b)",
    "&": "&& for 'and'",
    "|": "|| for 'or'",
    "is": "== to compare",
    "=": "== to compare",
    ">": "!= for 'not equal', or >",
    "if": "condition ? one : other",
    "then": "condition ? one : other",
    "else": "condition ? one : other",
    "len": "size(…)",
    "length": "size(…)",
    "None": "null",
    "nil": "null",
    "undefined": "null",
    "True": "true",
    "False": "false",
    "}": "${…} around an expression, with one brace",
    **dict.fromkeys(("“", "”", "„", "‘", "’"), "straight quotes, ' or \""),  # noqa: RUF001  (what word processors make of them)
}
"""What other languages write, and what CEL does."""


def written_elsewhere(word: str) -> str | None:
    """What to write for a word of another language; none where it is no such word."""
    return f"Write {_ELSEWHERE[word]}." if word in _ELSEWHERE else None


def not_cel(source: str, fault: Fault) -> Finding:
    """A source that is no CEL, as people are told it."""
    if _TOO_DEEP.search(fault.text):
        return Finding("It nests too deep.", fault.offset, "Move parts into `set` steps.", "syntax")
    missing, reserved = _MISSING.search(fault.text), _RESERVED.search(fault.text)
    if missing or reserved:
        what = f"{missing[1]} is missing" if missing else f"'{reserved[1] if reserved else ''}' is a word of its own"
        hint = written_elsewhere(reserved[1]) if reserved else None
        return Finding(f"This is not CEL: {what}.", fault.offset, hint, "syntax")
    unread = _UNREAD.search(fault.text)
    at = unread[1].strip() if unread else ""
    if at == _END:
        what = "it ends where more is needed" if source.strip() else "there is nothing"
        return Finding(f"This is not CEL: {what}.", fault.offset, code="syntax")
    before = _WORD_BEFORE.search(source[: fault.offset])
    words = (at, before[1] if before else "")
    hint = next((hint for word in words if (hint := written_elsewhere(word)) is not None), None)
    text = f"'{at}' cannot stand here" if at else re.sub(r"^Syntax error: | expecting .*", "", fault.text)
    return Finding(f"This is not CEL: {text}.", fault.offset, hint, "syntax")
