"""One try of a step under way: what it finds out, what it sends, and whether its failure leaves a doubt."""

from __future__ import annotations

from collections.abc import Coroutine
from contextlib import AbstractAsyncContextManager
from typing import Any

from signoff.core.errors import StepError
from signoff.runtime import effects
from signoff.runtime.calling import called, effect_of, permit, permitted
from signoff.runtime.context import RunContext
from signoff.runtime.dry_effects import acts_dry, dry_answer
from signoff.runtime.handlers import Done, StepCall, StepHandler, Waiting, turn_of
from signoff.runtime.state import StepRecord
from signoff.workflows.model import Step


class Try:
    """One try under way.

    Attributes:
        attempt: which one, from 1.
        doubt: an earlier try may have taken effect.
        sent: this try may have.
        dry: its run acts dry, and nothing was sent.
    """

    def __init__(self, execution: RunContext, step: Step, record: StepRecord, attempt: int) -> None:
        self._execution = execution
        self._step = step
        self._record = record
        self.attempt = attempt
        self.doubt = record.in_doubt
        self.sent = False
        self.dry = False

    def result(self) -> Coroutine[Any, Any, Done | Waiting]:
        """What the try comes to: found out where an earlier one may have acted, else by acting."""
        execution, step, record = self._execution, self._step, self._record
        handler = execution.engine.handlers[step.verb]
        call = execution.call(step, record, attempt=self.attempt)
        # Tries may be lost whose intents came after the last one that is known. A run that acts dry never had any.
        lost = record.broke != execution.broke and not execution.state.started.get("dry")
        if self.doubt or lost:
            return self._found_out(handler, call)
        turn = turn_of(handler, call)
        return self._acted(handler, call) if turn is None else self._in_turn(turn, handler, call)

    async def _found_out(self, handler: StepHandler, call: StepCall) -> Done | Waiting:
        execution, step, record = self._execution, self._step, self._record
        if self.doubt:
            found = await effects.found(execution, step, handler, call, record)
            if found is not None:
                return found
            if record.recovery == "lookup":
                self.doubt = False  # it never happened
                if effects.unwound(execution, record):
                    raise StepError("the run unwinds, and the call had not taken effect", kind="not_sent")
        else:
            found = await self._lost(handler, call)
            if found is not None:
                return found
        turn = turn_of(handler, call)
        if turn is None:
            return await self._acted(handler, call)
        return await self._in_turn(turn, handler, call)

    async def _in_turn(
        self, turn: AbstractAsyncContextManager[None], handler: StepHandler, call: StepCall
    ) -> Done | Waiting:
        async with turn:
            return await self._acted(handler, call)

    async def _acted(self, handler: StepHandler, call: StepCall) -> Done | Waiting:
        execution, step, record = self._execution, self._step, self._record
        slots, passage = execution.engine.slots, None
        if not slots.taken():
            await slots.acquire()
        try:
            if not permitted(handler, call):
                await permit(execution, handler, call)
            if execution.state.started.get("dry") and acts_dry(step, effect_of(handler, call)):
                self.dry = True
                return dry_answer(execution.state, step, record.path)
            way = execution.engine.breakers.entered(handler, call)
            if not way.is_free():
                await way.admitted()
            passage = way
            effect = effect_of(handler, call)
            if effect is not None:
                await effects.intend(execution, step, record, call, effect)
            elif handler.visible:
                # After a crash the steps before it would be redone, and may come out otherwise.
                await execution.durable()
            self.sent = way.sent = True
            done = await called(execution, call, lambda: handler.execute(call), once=effect is not None)
            if not way.went_well():
                passage = None
                await way.ended(None)
        except BaseException as error:
            if passage is not None:
                await passage.ended(error)
            raise
        else:
            return done
        finally:
            slots.release()

    async def _lost(self, handler: StepHandler, call: StepCall) -> Done | Waiting | None:
        """What became of an effect whose intent may be among the events that a failover lost; none: it may be sent."""
        execution, record = self._execution, self._record
        async with execution.engine.slots:
            await permit(execution, handler, call)
            effect = effect_of(handler, call)
            if effect is None:
                return None
            await effects.intend(execution, self._step, record, call, effect)
        found = await effects.found(execution, self._step, handler, call, record)
        self.doubt = record.recovery != "lookup"
        return found

    def leaves_doubt(self, error: StepError) -> bool:
        """Whether an effect may have happened although the try failed.

        With the same key, a final refusal that the contract declares speaks for the earlier tries too. Any other
        failure is this try's own: nothing was sent, the credential was refused, the other side is busy.
        """
        if not self._record.in_doubt:
            return False
        settled = self.sent and error.declared and not error.retryable
        return error.outcome_unknown or (self.doubt and not settled)
