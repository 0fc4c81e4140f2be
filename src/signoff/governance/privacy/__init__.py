"""Personal data: found by checksummed patterns and a local model; taken out, replaced by tokens, or refused."""

from signoff.governance.privacy.detector import Detector, NameModel
from signoff.governance.privacy.model import (
    ALL_KINDS,
    GROUPS,
    NAME_KINDS,
    Finding,
    NamesUnavailableError,
    PersonalDataError,
    kinds_of,
)
from signoff.governance.privacy.redaction import StreamRestorer, Tokens, kinds_in, mapped, redacted

__all__ = [
    "ALL_KINDS",
    "GROUPS",
    "NAME_KINDS",
    "Detector",
    "Finding",
    "NameModel",
    "NamesUnavailableError",
    "PersonalDataError",
    "StreamRestorer",
    "Tokens",
    "kinds_in",
    "kinds_of",
    "mapped",
    "redacted",
]
