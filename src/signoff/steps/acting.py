"""What most handlers have in common: no effect to journal first, nothing to wait for, nothing to withdraw."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from signoff.core.errors import StepError
from signoff.runtime.handlers import Done, Effect, Message, StepCall, Waiting


class ActingStep:
    """The parts of `StepHandler` that a verb without effects and waits does not need."""

    visible = False

    def effect(self, call: StepCall) -> Effect | None:  # noqa: ARG002  (the protocol has it)
        """Nothing outside changes."""
        return None

    async def permit(self, call: StepCall) -> None:
        """Decided within the call, where more is known."""

    async def resume(self, call: StepCall, waiting: Waiting, message: Message | None) -> Done | Waiting:  # noqa: ARG002  (the protocol has it)
        """It never waits, so there is nothing to go on with.

        Raises:
            StepError: always: the journal says that it waits.
        """
        raise StepError(f"'{call.path}' does not wait for anything", kind="internal")

    async def look_up(self, call: StepCall) -> Done | None:
        """It has no effect, so there is nothing to look up.

        Raises:
            StepError: always.
        """
        raise StepError(f"'{call.path}' has no look-up", kind="misconfigured", outcome_unknown=True)

    def check_answer(self, call: StepCall, output: Mapping[str, Any]) -> None:
        """Without an effect nobody is asked what became of it."""

    async def withdraw(self, call: StepCall, waiting: Waiting) -> Waiting | None:
        """Nobody was told that it waits."""
