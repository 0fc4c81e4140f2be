"""The verb `set`: name values."""

from __future__ import annotations

from signoff.runtime.handlers import Done, StepCall


class SetStep:
    """Gives the values as they were evaluated."""

    verb = "set"

    def compute(self, call: StepCall) -> Done:
        """The values."""
        return Done(call.arguments["set"])
