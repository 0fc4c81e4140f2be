"""Cuts a text into the short windows that are scored one by one: an injection is a sentence or two in pages of data."""

from __future__ import annotations

import re
import unicodedata
from dataclasses import dataclass

SENTENCE_CHARACTERS = 240
"""Longer sentences are cut here, at a space where there is one."""
MIN_SENTENCE_CHARACTERS = 24
"""Shorter ones ("Mr.", "Invoice 7.") join the next: so few words alone say nothing, and score high by chance."""

_INVISIBLE = re.compile(
    "[\u00ad\u034f\u061c\u180e\u200b-\u200f\u202a-\u202e\u2060-\u2064\u2066-\u206f\ufe00-\ufe0f\ufeff]"
)
# Unicode's tag characters spell ASCII that people do not see and models read.
_TAGS = re.compile("[\U000e0020-\U000e007e]")
_FOLDED = re.compile(r"\\\n[ \t]*(?:\\(?= ))?")  # a line that YAML folded inside double quotes
_ESCAPED = re.compile(r"\\[nrt]")
_WRAPPED = re.compile(r"(?<=[^\s.!?:|>])\n[ \t]*(?=[a-z(])")  # a line wrapped inside a sentence
_SPACE = re.compile(r"[ \t\r\f\v\u00a0]+")
_SENTENCE = re.compile(r"(?<=[.!?;])[\"')\]]*\s+(?=[^a-z])|(?<=[。！？；])|\n+")  # noqa: RUF001  (Chinese punctuation)


@dataclass(frozen=True, slots=True)
class Window:
    """A piece of the readable text.

    Attributes:
        text: its characters, with white space folded.
        sentence: the number of its first sentence, from 0.
    """

    text: str
    sentence: int


def readable(text: str) -> str:
    """The text as a model reads it: compatibility forms folded, what is invisible gone, tag characters spelt out.

    Escapes and folded lines of YAML and JSON are undone, since tools' answers come serialised.
    """
    text = _TAGS.sub(lambda match: chr(ord(match.group()) - 0xE0000), text)
    text = unicodedata.normalize("NFKC", _INVISIBLE.sub("", text))
    text = _ESCAPED.sub("\n", _FOLDED.sub(" ", text))
    return _SPACE.sub(" ", _WRAPPED.sub(" ", text))


def sentences(text: str) -> list[str]:
    """The readable text's sentences and lines, none longer than `SENTENCE_CHARACTERS`, none without a word."""
    found: list[str] = []
    held = ""
    for piece in _SENTENCE.split(text):
        stripped = piece.strip()
        if not any(character.isalnum() for character in stripped):
            continue
        held = f"{held} {stripped}" if held else stripped
        if len(held) >= MIN_SENTENCE_CHARACTERS:
            found.extend(_cut(held))
            held = ""
    if held:
        found.append(held)
    return found


def windows(text: str) -> list[Window]:
    """Each sentence, and each with its next, in order."""
    pieces = sentences(readable(text))
    found: list[Window] = []
    for index, piece in enumerate(pieces):
        found.append(Window(piece, index))
        if index + 1 < len(pieces):
            found.append(Window(f"{piece} {pieces[index + 1]}", index))
    return found


def _cut(sentence: str) -> list[str]:
    parts: list[str] = []
    while len(sentence) > SENTENCE_CHARACTERS:
        at = sentence.rfind(" ", SENTENCE_CHARACTERS // 2, SENTENCE_CHARACTERS)
        at = at if at > 0 else SENTENCE_CHARACTERS
        parts.append(sentence[:at])
        sentence = sentence[at:].lstrip()
    return [*parts, sentence] if sentence else parts
