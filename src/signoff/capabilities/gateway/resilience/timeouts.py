"""How long each phase of a call may take."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, cast

from signoff.capabilities.gateway.resilience.settings import ResilienceSettings
from signoff.catalog.models import ModelSpec
from signoff.core.values import value


@value
class Timeouts:
    """Of one model, in seconds. How long a connection may take to open is the provider's.

    Attributes:
        first_token_s: silence of a stream before its first token.
        between_tokens_s: silence after that.
        total_s: one try in all.
    """

    first_token_s: float
    between_tokens_s: float
    total_s: float

    @staticmethod
    def of(spec: ModelSpec, settings: ResilienceSettings) -> Timeouts:
        """Those of the model, and for what it does not say those of the settings."""
        own = cast("Mapping[str, Any]", spec.settings.get("timeouts") or {})
        return Timeouts(
            float(own.get("first_token_s", settings.first_token_s)),
            float(own.get("between_tokens_s", settings.between_tokens_s)),
            float(own.get("total_s", settings.total_s)),
        )
