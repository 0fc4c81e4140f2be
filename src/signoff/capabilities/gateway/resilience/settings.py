"""How long the gateway waits for a model, and how often it asks again."""

from __future__ import annotations

from pydantic import BaseModel, ConfigDict, Field


class ResilienceSettings(BaseModel):
    """Bounds of all calls of chats; a model's `timeouts` in `models.yaml` say otherwise for it."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    first_token_s: float = Field(
        default=60.0, gt=0, description="How long a stream may be silent before its first token."
    )
    between_tokens_s: float = Field(default=30.0, gt=0, description="How long a stream may be silent after that.")
    total_s: float = Field(default=600.0, gt=0, description="How long one try may take in all.")
    retries: int = Field(default=2, ge=0, le=10, description="How often one model is asked again after a failure.")
    retry_base_s: float = Field(default=0.5, gt=0, description="The first wait before asking again; then twice that.")
    longest_retry_s: float = Field(default=8.0, gt=0, description="The longest wait before asking again.")
    longest_retry_after_s: float = Field(
        default=10.0, ge=0, description="How long a vendor's Retry-After is waited for; a longer one ends its tries."
    )
