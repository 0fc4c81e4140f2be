"""What every call to a model is looked at for: `screening:` of `signoff.yaml`."""

from __future__ import annotations

from dataclasses import dataclass, field

from pydantic import BaseModel, ConfigDict, Field

from signoff.catalog.answer_contracts import FilterUse

MOST_CHARACTERS = 200_000
"""More than this of one call is read by no detector, and held back of no stream."""
LEAST_HELD_CHARACTERS = 100
"""Less than this held back of a stream is shorter than what filters look for."""


class ScreeningSettings(BaseModel):
    """Bounds of what detectors read of one call, and of what filters hold back."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    injection: bool = Field(default=True, description="Whether untrusted texts are scored for injections.")
    injection_characters: int = Field(
        default=20_000, ge=0, description="How much of the untrusted texts of one call is scored, the newest first."
    )
    outgoing: bool = Field(default=True, description="Whether answers are looked at for ways to carry data out.")
    held_characters: int = Field(
        default=0,
        ge=0,
        description="How much of a stream filters that block hold back; 0 holds all of it until its end.",
    )


@dataclass(frozen=True, slots=True)
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
