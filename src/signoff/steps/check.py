"""The verb `check`: named rules before action. A broken rule that blocks fails the step."""

from __future__ import annotations

from signoff.capabilities.validation import check
from signoff.runtime.handlers import Done, StepCall
from signoff.steps.services import project_of


class CheckStep:
    """Checks values against a rule of the project."""

    verb = "check"

    def compute(self, call: StepCall) -> Done:
        """What the rule found.

        Raises:
            StepError: a condition that blocks is broken, or the rule could not be checked.
        """
        result = check(project_of(call).rules[call.step.target], call.arguments.get("with", {}))
        result.require()
        return Done(result.as_dict())
