"""Validation: named rules over a step's values. JSON Schema itself is in `signoff.core.schemas`."""

from signoff.capabilities.validation.rules import Broken, CheckResult, check

__all__ = ["Broken", "CheckResult", "check"]
