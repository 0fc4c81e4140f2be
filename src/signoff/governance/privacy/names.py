"""Names and places out of what a local model says of each piece of a word; what lies in the shape of names is done here."""

from __future__ import annotations

import re
from bisect import bisect_left
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Protocol

from signoff.governance.privacy.model import Finding
from signoff.governance.privacy.spans import Spans

PERSON_LABELS = ("GIVEN_NAME", "SURNAME")
PLACE_LABELS = ("CITY", "STATE")
STREET_LABELS = ("STREET_NAME", "BUILDING_NUMBER", "SECONDARY_ADDRESS", "ZIP_CODE")
THRESHOLD = 0.5
"""How sure of a word the model must be, as the mean over its characters."""
SMALL_THRESHOLD = 0.65
"""The same for words without a capital."""
LINE_THRESHOLD = 0.3
"""How sure of one word the model must be for a line of two to four capitalised words to be a name."""

_WORD = re.compile(r"[^\W_]+(?:['’-][^\W\d_]+)*")
_PARTICLES = frozenset(
    "de da do dos das del della di du la le van von der den ten ter bin ibn al el zu y e und of".split()
)
_JOINS = re.compile(r"[ \t]{1,3}|\. |[ ]?-[ ]?|\.")
_INITIAL = re.compile(r"(?: [^\W\d_]\.?)? (?=[^\W\d_])")
_SUFFIX = re.compile(r",? (?:II|III|IV|Jr\.?|Sr\.?)(?!\w)")
_TITLED = re.compile(
    r"(?<!\w)(?:Mr|Mrs|Ms|Miss|Mx|Dr|Prof|Sir|Madam|mr|mrs|ms|dr)\.? (?P<value>[^\W\d_a-zà-ÿ][^\W\d_]+(?:[ -][^\W\d_a-zà-ÿ][^\W\d_]+){0,2})"
)
_NAMED = re.compile(
    r"(?:\b[Mm]y name(?:'s| is)|\b[Nn]ame:|\bcalled|\bcall me|\b[Mm]aiden name is|\bnamed (?:him|her|it)?|\bI am|\bI'm|\b[Dd]ear|\b[Ss]igned,?|\b[Rr]egards,)\s+"
    r"(?P<value>[^\W\d_a-zà-ÿ][^\W\d_]+(?: [^\W\d_a-zà-ÿ]\.?)?(?: [^\W\d_a-zà-ÿ][^\W\d_]+){0,2})"
)
_LINE = re.compile(
    r"(?m)^>?[ \t]*(?P<value>[^\W\d_a-zà-ÿ][\w'’-]+(?: [^\W\d_a-zà-ÿ]\.?)?(?: [^\W\d_a-zà-ÿ][\w'’-]+){1,2})[ \t]*$"
)
_NO_NAMES = frozenset(
    "i a the this that these those my your his her our their what who where when why how yes no not hello hi hey dear thanks thank please sorry"
    " bot user customer agent sir madam and or but if it he she we you they am is are was were be do does did will would can could should"
    " mr mrs ms mx miss dr prof title name address phone email e-mail website date fax office mobile company inc corp llc ltd lol omg rt".split()
)


class Token(Protocol):
    """A piece of a word, and what the model takes it for."""

    @property
    def start(self) -> int:
        """Its first character."""
        ...

    @property
    def end(self) -> int:
        """The character after its last."""
        ...

    @property
    def scores(self) -> Mapping[str, float]:
        """The probability of each label that is not negligible."""
        ...


@dataclass(frozen=True, slots=True)
class Word:
    """A word with the model's mean probabilities.

    Attributes:
        person, place, street: of the labels of each of these, together.
        phone: of `PHONE`.
    """

    start: int
    end: int
    text: str
    person: float
    place: float
    street: float
    phone: float


def words_of(text: str, tokens: Sequence[Token]) -> list[Word]:
    """The words of a text, with what the model says of their pieces. Tokens are in order."""
    found: list[Word] = []
    place = 0
    for match in _WORD.finditer(text):
        start, end = match.span()
        while place < len(tokens) and tokens[place].end <= start:
            place += 1
        size, scores, index = 0, dict[str, float](), place
        while index < len(tokens) and tokens[index].start < end:
            token = tokens[index]
            size += token.end - token.start
            for label, score in token.scores.items():
                scores[label] = scores.get(label, 0.0) + score * (token.end - token.start)
            index += 1
        size = max(size, 1)
        person, street, where = (
            sum(scores.get(label, 0.0) for label in labels) / size
            for labels in (PERSON_LABELS, STREET_LABELS, PLACE_LABELS)
        )
        shown, cut = match.group(), end
        if shown.endswith(("'s", "’s")):
            shown, cut = shown[:-2], end - 2
        found.append(Word(start, cut, shown, person, where, street, scores.get("PHONE", 0.0) / size))
    return found


def find_people(text: str, words: Sequence[Word]) -> list[Finding]:
    """Names of people: runs of words that the model takes for names, and what titles and phrases introduce."""
    runs: list[list[Word]] = []
    for word in words:
        needed = THRESHOLD if word.text[0].isupper() else SMALL_THRESHOLD
        if word.person < needed or word.text.lower() in _NO_NAMES or any(map(str.isdigit, word.text)):
            continue
        if runs and _continues(text, runs[-1][-1], word):
            runs[-1].append(word)
        else:
            runs.append([word])
    found: list[Finding] = []
    for run in runs:
        kept = _of_one_case(run)
        if not kept:
            continue
        end = kept[-1].end
        suffix = _SUFFIX.match(text, end)
        found.append(Finding(kept[0].start, suffix.end() if suffix else end, "PERSON", "model"))
    people = Spans(_with_lines(text, words, found))
    for pattern, rule in ((_TITLED, "title"), (_NAMED, "phrase")):
        for match in pattern.finditer(text):
            start, end = match.span("value")
            if match.group("value").split()[0].lower() not in _NO_NAMES and not people.touching(start, end):
                people.add(Finding(start, end, "PERSON", rule))
    return sorted(people.all())


def _with_lines(text: str, words: Sequence[Word], found: list[Finding]) -> list[Finding]:
    """A line of capitalised words of which the model takes one for a name is a name: the head of a signature."""
    if "\n" not in text:
        return found
    starts = [word.start for word in words]
    lines: list[Finding] = []
    for match in _LINE.finditer(text):
        start, end = match.span("value")
        inside = words[bisect_left(starts, start) : bisect_left(starts, end)]
        if any(word.person >= LINE_THRESHOLD for word in inside) and all(word.street < THRESHOLD for word in inside):
            lines.append(Finding(start, end, "PERSON", "line"))
    taken = Spans(lines)
    return [one for one in found if not taken.touching(one.start, one.end)] + lines


def _continues(text: str, last: Word, word: Word) -> bool:
    between = text[last.end : word.start]
    if _JOINS.fullmatch(between):
        return True
    inner = between.strip(" .").lower()
    return "\n" not in between and "," not in between and (inner in _PARTICLES or (len(inner) == 1 and inner.isalpha()))


def _of_one_case(run: list[Word]) -> list[Word]:
    """Without the small words that the model adds to a capitalised name: 'Leiva flew' is Leiva."""
    if not run[0].text[0].isupper():
        capital = next((place for place, word in enumerate(run) if word.text[0].isupper()), None)
        return run if capital is None else run[capital:]
    kept = [run[0]]
    for word in run[1:]:
        if word.text[0].islower() and word.text.lower() not in _PARTICLES:
            break
        kept.append(word)
    while kept and kept[-1].text.lower() in _PARTICLES:
        kept.pop()
    return kept
