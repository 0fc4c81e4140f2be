"""The verb `decide`: a decision table of the project. Which rows were hit is in its output, and so in the journal."""

from __future__ import annotations

from signoff.capabilities.validation import decide
from signoff.runtime.handlers import Done, StepCall
from signoff.steps.services import project_of


class DecideStep:
    """Decides by a table of the project."""

    verb = "decide"

    def compute(self, call: StepCall) -> Done:
        """What the table gives.

        Raises:
            StepError: no row is hit, several are where one may be, or a cell could not be evaluated.
        """
        return Done(decide(project_of(call).decisions[call.step.target], call.arguments.get("with", {})).output)
