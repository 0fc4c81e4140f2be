"""What every call to a model is looked at for: `screening:` of `signoff.yaml`."""

from __future__ import annotations

from dataclasses import field

from signoff.catalog.answer_contracts import FilterUse
from signoff.core.values import value

MOST_CHARACTERS = 200_000
"""More than this of one call is read by no detector, and held back of no stream."""
LEAST_HELD_CHARACTERS = 100
"""Less than this held back of a stream is shorter than what filters look for."""


@value
class ScreeningSettings:
    """Bounds of what detectors read of one call, and of what filters hold back.

    No pydantic model, as others of our settings are: projects are read without it, which would take as long to import
    as a tenth of all that `signoff check` does.

    Attributes:
        injection: whether untrusted texts are scored for injections.
        injection_characters: how much of the untrusted texts of one call is scored, the newest first.
        outgoing: whether answers are looked at for ways to carry data out.
        held_characters: how much of a stream filters that block hold back; 0 holds all of it until its end.
    """

    injection: bool = True
    injection_characters: int = 20_000
    outgoing: bool = True
    held_characters: int = 0


@value
class Screening:
    """What a project has its calls looked at for.

    Attributes:
        settings: bounds.
        before: filters of what a model is about to be shown.
        after: filters of what it answered.
    """

    settings: ScreeningSettings = field(default_factory=ScreeningSettings)
    before: tuple[FilterUse, ...] = ()
    after: tuple[FilterUse, ...] = ()


UNFILTERED = Screening()
"""What a project has that says nothing."""
