"""The detector: every rule and the local model over one text, and what remains where they disagree."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import replace
from functools import lru_cache
from typing import Protocol

from signoff.governance.privacy.credentials import SECRETS
from signoff.governance.privacy.identifiers_europe import EUROPE
from signoff.governance.privacy.identifiers_world import WORLD
from signoff.governance.privacy.model import (
    ALL_KINDS,
    MAX_TEXT_CHARACTERS,
    NAME_KINDS,
    Finding,
    NamesUnavailableError,
    PersonalDataError,
)
from signoff.governance.privacy.names import THRESHOLD, Token, Word, find_people, words_of
from signoff.governance.privacy.needs import Needs, held_in, most_of
from signoff.governance.privacy.patterns import GENERAL
from signoff.governance.privacy.phones import PHONE, find_phones
from signoff.governance.privacy.places import GROUP_KINDS, find_addresses, find_groups, find_places, is_place
from signoff.governance.privacy.rules import Rule
from signoff.governance.privacy.spans import Spans

RULES = (*SECRETS, *GENERAL, *EUROPE, *WORLD)
KNOWN_WISHES = 4_096
"""Of how many sets of kinds, and sorts of texts, it is kept which rules find them: a deployment's permits name a few,
and texts have more or fewer digits, long numbers and signs."""
_MOST_NEEDED = most_of(rule.needs for rule in RULES)
_RANKS = (
    "SECRET", "EMAIL_ADDRESS", "IBAN_CODE", "CREDIT_CARD", "CRYPTO_ADDRESS", "URL", "US_SSN", "NATIONAL_ID", "PASSPORT", "DRIVER_LICENSE",
    "BANK_ACCOUNT", "IP_ADDRESS", "DATE_OF_BIRTH", "DATE_TIME", "AGE", "PHONE_NUMBER", "TITLE", "ADDRESS", "ZIP_CODE", "ORGANIZATION", "PERSON",
    "NRP", "LOCATION",
)  # fmt: skip
_EDGES = " \t\r\n,;"
_RANK = {kind: place for place, kind in enumerate(_RANKS)}


class NameModel(Protocol):
    """A local model that says of every piece of a text what it takes it for."""

    def classify(self, text: str) -> Sequence[Token]:
        """The pieces in order."""
        ...


class Detector:
    """Finds personal data in texts. It keeps nothing of them, and may be shared by threads as far as its model may.

    Args:
        model: finds names, places and addresses; without one, patterns alone are found, and who asks for names is refused.
    """

    def __init__(self, model: NameModel | None = None) -> None:
        self._model = model

    def find(self, text: str, kinds: Collection[str] = ALL_KINDS, *, names: bool = True) -> list[Finding]:
        """What there is of these kinds, in order, without overlaps.

        Args:
            text: where to look.
            kinds: what to look for.
            names: false finds by patterns alone and does not miss the model.

        Raises:
            PersonalDataError: the text is too long.
            NamesUnavailableError: names are among the kinds, and there is no model.
        """
        if len(text) > MAX_TEXT_CHARACTERS:
            raise PersonalDataError(
                f"A text of {len(text)} characters is not searched for personal data; at most {MAX_TEXT_CHARACTERS} are."
            )
        wanted = frozenset(kinds)
        # What nobody looks for is not searched for either, nor what cannot be there.
        rules = _rules(wanted, held_in(text).up_to(_MOST_NEEDED))
        found = [finding for rule in rules for finding in rule.find(text)]
        words: list[Word] = []
        if names and wanted & NAME_KINDS:
            if self._model is None:
                raise NamesUnavailableError(
                    "Names, places and addresses cannot be found: run `signoff models pull local/rampart`."
                )
            words = words_of(text, self._model.classify(text)) if text.strip() else []
        if PHONE in wanted:
            likely = frozenset(
                place for word in words if word.phone >= THRESHOLD for place in range(word.start, word.end)
            )
            found += find_phones(text, likely)
        if wanted & GROUP_KINDS:
            found += find_groups(text)
        if words:
            people = [one for one in find_people(text, words) if not is_place(text[one.start : one.end])]
            found += find_addresses(text, words) + people + find_places(text, words)
        rests = resolved([finding for finding in found if finding.kind in wanted])
        return [trimmed for finding in rests if (trimmed := _trimmed(text, finding)) is not None]


@lru_cache(maxsize=KNOWN_WISHES)
def _rules(wanted: frozenset[str], held: Needs) -> tuple[Rule, ...]:
    """The rules that may find any of these kinds in a text that has so much."""
    return tuple(rule for rule in RULES if rule.kind in wanted and rule.needs.met_by(held))


def resolved(found: Sequence[Finding]) -> list[Finding]:
    """Without overlaps: what a checksum confirmed wins, then the stronger kind, then the longer.

    What a loser has beside the winner stays found, so that no half of a name is let through.
    """
    order = sorted(found, key=lambda item: (not item.checked, _RANK[item.kind], item.start - item.end, item.start))
    taken = Spans[Finding]()
    for one in order:
        for rest in _rests(one, taken.touching(one.start, one.end)):
            taken.add(rest)
    return sorted(taken.all())


def _rests(one: Finding, others: Sequence[Finding]) -> list[Finding]:
    """The parts of a finding that none of the others covers; they are in order."""
    if not others:
        return [one]
    starts = (one.start, *(other.end for other in others))
    ends = (*(other.start for other in others), one.end)
    return [replace(one, start=start, end=end) for start, end in zip(starts, ends, strict=True) if start < end]


def _trimmed(text: str, finding: Finding) -> Finding | None:
    """Without spaces and commas at its ends; none where no letter or digit is left."""
    shown = text[finding.start : finding.end]
    if not any(map(str.isalnum, shown)):
        return None
    start = finding.start + len(shown) - len(shown.lstrip(_EDGES))
    end = finding.end - (len(shown) - len(shown.rstrip(_EDGES)))
    return replace(finding, start=start, end=end)
