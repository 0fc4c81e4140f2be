"""How far texts are looked at."""

from __future__ import annotations

from pydantic import BaseModel, ConfigDict, Field


class ScreeningSettings(BaseModel):
    """Bounds of what detectors read of one call."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    injection: bool = Field(default=True, description="Whether untrusted texts are scored for injections.")
    injection_characters: int = Field(
        default=20_000, ge=0, description="How much of the untrusted texts of one call is scored, the newest first."
    )
    outgoing: bool = Field(default=True, description="Whether answers are looked at for ways to carry data out.")
    remembered: int = Field(
        default=1024, ge=0, description="Texts whose scores are kept: a conversation shows the same ones each time."
    )
