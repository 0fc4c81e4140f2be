"""Circuit breakers: a tool or model that keeps failing is left alone for a while, by all workers together."""

from __future__ import annotations

from signoff.runtime.breakers.guard import BREAKER_OPEN, LATE, SLOW, Breakers, Targeted
from signoff.runtime.breakers.model import Breaker
from signoff.runtime.breakers.reading import list_breakers
from signoff.runtime.breakers.settings import BreakerSettings

__all__ = ["BREAKER_OPEN", "LATE", "SLOW", "Breaker", "BreakerSettings", "Breakers", "Targeted", "list_breakers"]
