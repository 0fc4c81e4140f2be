"""What personal data is called, what is found of it, and which of it an obligation such as `@redact("pii")` means."""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache

from signoff.core.errors import InvalidError, UnavailableError, did_you_mean

MAX_TEXT_CHARACTERS = 1_000_000
"""The longest text that is searched. A longer one is refused, never passed on unsearched."""
MAX_DEPTH = 64
"""How deep a JSON value may be nested; a deeper one is refused."""

KNOWN_ARGUMENTS = 256
"""How many arguments of obligations are kept as read: a permit says the same at each call."""

NAME_KINDS = frozenset({"PERSON", "LOCATION", "ADDRESS"})
"""What only a language model finds well. Whoever must take it out needs the local model."""

CONTACT_KINDS = frozenset({"EMAIL_ADDRESS", "PHONE_NUMBER", "IP_ADDRESS"})
FINANCIAL_KINDS = frozenset({"CREDIT_CARD", "IBAN_CODE", "CRYPTO_ADDRESS", "BANK_ACCOUNT"})
SECRET_KINDS = frozenset({"SECRET"})
TRAIT_KINDS = frozenset({"AGE", "DATE_OF_BIRTH", "NRP"})
OTHER_KINDS = frozenset({"DATE_TIME", "ORGANIZATION", "TITLE", "URL", "ZIP_CODE"})
"""Found too, yet no person's data by themselves: taken out only where an obligation names them."""
ID_KINDS = frozenset({"NATIONAL_ID", "US_SSN", "DRIVER_LICENSE", "PASSPORT"})

PERSONAL_KINDS = NAME_KINDS | CONTACT_KINDS | FINANCIAL_KINDS | TRAIT_KINDS | ID_KINDS
ALL_KINDS = PERSONAL_KINDS | SECRET_KINDS | OTHER_KINDS

GROUPS: dict[str, frozenset[str]] = {
    "pii": PERSONAL_KINDS | SECRET_KINDS,
    "names": frozenset({"PERSON"}),
    "places": frozenset({"LOCATION", "ADDRESS"}),
    "contact": CONTACT_KINDS,
    "financial": FINANCIAL_KINDS,
    "ids": ID_KINDS,
    "secrets": SECRET_KINDS,
}
"""What an obligation may say, beside the names of kinds. `pii` has secrets too: a password is somebody's."""


@dataclass(frozen=True, slots=True, order=True)
class Finding:
    """One piece of personal data in a text.

    Attributes:
        start: its first character, counted from 0.
        end: the character after its last.
        kind: one of `ALL_KINDS`.
        rule: what found it: the name of a pattern, or `model`.
        checked: whether a checksum or an equally strict format confirmed it; such findings win over others.
    """

    start: int
    end: int
    kind: str
    rule: str
    checked: bool = False


class PersonalDataError(InvalidError):
    """A text cannot be searched for personal data: too long, too deep, or not known what to search for."""

    code = "personal-data"
    title = "Personal data could not be handled"


class NamesUnavailableError(UnavailableError):
    """Names were to be found, and there is no model for it on this machine."""

    code = "names-unavailable"
    title = "No model finds names here"


@lru_cache(maxsize=KNOWN_ARGUMENTS)
def kinds_of(value: str) -> frozenset[str]:
    """The kinds that an obligation's argument means: groups or kinds, with commas between.

    Raises:
        PersonalDataError: it names one that there is not.
    """
    kinds: set[str] = set()
    for word in (part.strip() for part in value.split(",")):
        if word in GROUPS:
            kinds |= GROUPS[word]
        elif word.upper() in ALL_KINDS:
            kinds.add(word.upper())
        else:
            known = sorted((*GROUPS, *(kind.lower() for kind in ALL_KINDS)))
            hint = did_you_mean(word, known) or f"There are: {', '.join(known)}."
            raise PersonalDataError(f"'{word}' is no kind of personal data. {hint}")
    return frozenset(kinds)
