"""What happens to personal data: taken out, replaced by tokens that can be turned back, or refused. Pure functions."""

from __future__ import annotations

import base64
import re
import secrets
from collections.abc import Callable, Collection, Mapping
from typing import Any, Protocol, cast

from signoff.governance.privacy.model import MAX_DEPTH, Finding, PersonalDataError

TOKEN = re.compile(r"\[[A-Z_]+_\d+_[a-z2-7]{8}\]")
"""What tokens of all calls look like: nothing is found inside of one."""
NONCE_BYTES = 5
"""Of randomness in each token of a call: nobody who writes a text can guess it and so have a value put into an answer."""
MIN_NUMBER_DIGITS = 7
"""Shorter numbers of a JSON value are nobody's."""


class Find(Protocol):
    """What finds personal data: `Detector.find`, or the same with its kinds bound."""

    def __call__(self, text: str, kinds: Collection[str], /) -> list[Finding]:
        """In order, without overlaps."""
        ...


def redacted(text: str, find: Find, kinds: Collection[str]) -> str:
    """The text with `[KIND]` in place of each finding."""
    return _replaced(text, find(text, kinds), lambda finding, _: f"[{finding.kind}]")


def kinds_in(value: Any, find: Find, kinds: Collection[str]) -> frozenset[str]:
    """Which of the kinds a JSON value has in its texts, for whoever blocks it."""
    seen: set[str] = set()

    def look(text: str) -> str:
        seen.update(finding.kind for finding in find(text, kinds))
        return text

    mapped(value, look)
    return frozenset(seen)


class Tokens:
    """The values of one call and the tokens that stand for them: the same value has the same token.

    Args:
        random_bytes: where the tokens' randomness comes from.
    """

    def __init__(self, random_bytes: Callable[[int], bytes] = secrets.token_bytes) -> None:
        self._random_bytes = random_bytes
        self._nonce = ""
        self._values: dict[str, str] = {}
        self._tokens: dict[str, str] = {}
        self._counts: dict[str, int] = {}
        self._pattern: re.Pattern[str] | None = None

    @classmethod
    def kept(cls, nonce: str, values: Mapping[str, str]) -> Tokens:
        """Those that were kept, by what they were kept with."""
        found = cls()
        found._nonce = nonce
        for token, value in values.items():
            kind = token[1:].rsplit("_", 2)[0]
            found._values[value], found._tokens[token] = token, value
            found._counts[kind] = found._counts.get(kind, 0) + 1
        return found

    @property
    def nonce(self) -> str:
        """The randomness of its tokens. Made when first needed, as `pattern` is."""
        if not self._nonce:
            self._nonce = base64.b32encode(self._random_bytes(NONCE_BYTES)).decode("ascii").lower()
        return self._nonce

    @property
    def values(self) -> Mapping[str, str]:
        """Each token and the value that it stands for: for who keeps them, and nobody else."""
        return self._tokens

    @property
    def pattern(self) -> re.Pattern[str]:
        """What tokens of this call look like. Made when first needed: most calls have none, and it takes a while."""
        if self._pattern is None:
            self._pattern = re.compile(rf"\[([A-Z_]+)_\d+_{self.nonce}\]")
        return self._pattern

    def __len__(self) -> int:
        return len(self._tokens)

    def __repr__(self) -> str:
        return f"Tokens({len(self._tokens)} values)"  # never the values: it may be logged

    @property
    def longest(self) -> int:
        """The characters of the longest token."""
        return max(map(len, self._tokens), default=0)

    def tokenised(self, text: str, find: Find, kinds: Collection[str]) -> str:
        """The text with a token in place of each finding."""
        return _replaced(text, find(text, kinds), lambda finding, value: self._token(finding.kind, value))

    def restored(self, text: str, kinds: Collection[str] | None = None, escape: Callable[[str], str] = str) -> str:
        """The text with each token's value in its place.

        Args:
            text: what a model answered.
            kinds: only these kinds, for a reader who may not see all; all where not given.
            escape: what a value needs where it goes, such as inside a JSON text.
        """

        def value(match: re.Match[str]) -> str:
            seen = kinds is None or match.group(1) in kinds
            token = match.group()
            return escape(self._tokens[token]) if seen and token in self._tokens else token

        return self.pattern.sub(value, text) if self._tokens else text

    def concealed(self, text: str) -> str:
        """The text with a token in place of each value that has one: for words about an answer that was restored."""
        for value in sorted(self._values, key=len, reverse=True):
            text = text.replace(value, self._values[value])
        return text

    def _token(self, kind: str, value: str) -> str:
        if value not in self._values:
            self._counts[kind] = self._counts.get(kind, 0) + 1
            token = f"[{kind}_{self._counts[kind]}_{self.nonce}]"
            self._values[value], self._tokens[token] = token, value
        return self._values[value]


class StreamRestorer:
    """Restores tokens in a text that comes in pieces, wherever their borders fall.

    It holds back no more than what may be the beginning of a token: at most one token's length.

    Args:
        tokens: the call's tokens.
        kinds, escape: as in `Tokens.restored`.
    """

    def __init__(
        self, tokens: Tokens, kinds: Collection[str] | None = None, escape: Callable[[str], str] = str
    ) -> None:
        self._tokens = tokens
        self._kinds = kinds
        self._escape = escape
        self._held = ""

    def feed(self, piece: str) -> str:
        """What can be said for certain after another piece; it may be empty."""
        text = self._held + piece
        opening = text.rfind("[")
        open_still = opening >= 0 and "]" not in text[opening:] and len(text) - opening < self._tokens.longest
        cut = opening if open_still else len(text)
        self._held = text[cut:]
        return self._tokens.restored(text[:cut], self._kinds, self._escape)

    def flush(self) -> str:
        """What was held back, at the end of the text."""
        held, self._held = self._held, ""
        return self._tokens.restored(held, self._kinds, self._escape)


def mapped(value: Any, change: Callable[[str], str], depth: int = 0) -> Any:
    """A JSON value with every text of it changed: members' names and long numbers too. The value itself stays as it is.

    Raises:
        PersonalDataError: it is nested too deep.
    """
    if depth > MAX_DEPTH:
        raise PersonalDataError(f"A value nested deeper than {MAX_DEPTH} levels is not searched for personal data.")
    if isinstance(value, str):
        return change(value)
    if isinstance(value, Mapping):
        return _mapped_members(cast("Mapping[str, Any]", value), change, depth)
    if isinstance(value, (list, tuple)):
        return [mapped(item, change, depth + 1) for item in cast("list[Any]", value)]
    digits = digits_of(value)
    if digits is None:
        return value
    changed = change(digits)
    return value if changed == digits else changed


def digits_of(value: Any) -> str | None:
    """A long number of a JSON value as a text; none for all else."""
    # Tables that lack some cells write telephone numbers as 4915112345678.0.
    number = int(value) if isinstance(value, float) and value.is_integer() else value
    if not isinstance(number, int) or isinstance(number, bool) or len(str(abs(number))) < MIN_NUMBER_DIGITS:
        return None
    return str(number)


def _mapped_members(value: Mapping[str, Any], change: Callable[[str], str], depth: int) -> dict[str, Any]:
    result: dict[str, Any] = {}
    times: dict[str, int] = {}
    for key, member in value.items():
        first = name = change(key)
        while name in result:  # two names may be redacted to the same
            times[first] = times.get(first, 1) + 1
            name = f"{first}_{times[first]}"
        result[name] = mapped(member, change, depth + 1)
    return result


def _replaced(text: str, found: list[Finding], replacement: Callable[[Finding, str], str]) -> str:
    parts: list[str] = []
    place = 0
    for finding in found:
        parts += [text[place : finding.start], replacement(finding, text[finding.start : finding.end])]
        place = finding.end
    return "".join((*parts, text[place:]))
