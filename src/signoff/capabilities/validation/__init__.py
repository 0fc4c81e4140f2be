"""Validation: named rules and decision tables over a step's values. JSON Schema itself is in `signoff.core.schemas`."""

from signoff.capabilities.validation.rules import Broken, CheckResult, check
from signoff.capabilities.validation.tables import Decided, decide

__all__ = ["Broken", "CheckResult", "Decided", "check", "decide"]
