"""Who acts where a command works on the database directly."""

from __future__ import annotations

from signoff.core.actors import Actor
from signoff.foundation.database import DEFAULT_ORG_ID

OPERATOR = Actor(DEFAULT_ORG_ID, "system", "cli")
"""Whoever may open the database is its operator, so policy is not asked."""
