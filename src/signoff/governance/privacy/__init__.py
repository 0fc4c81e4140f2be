"""Personal data: found by checksummed patterns and a local model; taken out, replaced by tokens, or refused."""

from typing import TYPE_CHECKING

if TYPE_CHECKING:
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
else:
    from signoff.core.lazy import offered

    # Policy asks only what kinds there are; the patterns that find them are as much to load as all of Cedar.
    __getattr__ = offered(
        __name__,
        {
            "ALL_KINDS": "signoff.governance.privacy.model",
            "Detector": "signoff.governance.privacy.detector",
            "Finding": "signoff.governance.privacy.model",
            "GROUPS": "signoff.governance.privacy.model",
            "NAME_KINDS": "signoff.governance.privacy.model",
            "NameModel": "signoff.governance.privacy.detector",
            "NamesUnavailableError": "signoff.governance.privacy.model",
            "PersonalDataError": "signoff.governance.privacy.model",
            "StreamRestorer": "signoff.governance.privacy.redaction",
            "Tokens": "signoff.governance.privacy.redaction",
            "kinds_in": "signoff.governance.privacy.redaction",
            "kinds_of": "signoff.governance.privacy.model",
            "mapped": "signoff.governance.privacy.redaction",
            "redacted": "signoff.governance.privacy.redaction",
        },
    )

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
