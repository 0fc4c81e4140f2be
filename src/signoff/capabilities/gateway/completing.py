"""One task on its way: its candidates one after the other, each protected and guarded anew, until one answers."""

from __future__ import annotations

from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from dataclasses import replace

from signoff.capabilities.gateway.accounts import Account
from signoff.capabilities.gateway.asking import AnswerCache, Asked
from signoff.capabilities.gateway.bounds import bounded_task, bounds_of, note
from signoff.capabilities.gateway.caching.replaying import kept_task, question_of_task, task_again
from signoff.capabilities.gateway.calls import Call
from signoff.capabilities.gateway.chat import ChatReply
from signoff.capabilities.gateway.chats.gate import Gate
from signoff.capabilities.gateway.chats.means import Means
from signoff.capabilities.gateway.failures import CallFailed, final_error
from signoff.capabilities.gateway.model import ModelResult, ModelTask, total_usage
from signoff.capabilities.gateway.protection import VAULT, NotProtectedError
from signoff.capabilities.gateway.resilience.guarding import Outcome
from signoff.capabilities.gateway.routing.model import Candidate
from signoff.capabilities.gateway.routing.turns import Turns
from signoff.capabilities.gateway.screening.incoming import texts_of
from signoff.capabilities.gateway.tracing import trace
from signoff.catalog.models import ModelsConfig
from signoff.core.money import NO_USAGE


class TaskCall:
    """One task.

    Args:
        means: what all calls share.
        task: what to do.
        asked: by whom.
        config: the project's models, and what its calls are looked at for.
        turns: who may answer.
        account: what it comes to.
    """

    def __init__(
        self, means: Means, task: ModelTask, asked: Asked, config: ModelsConfig, *, turns: Turns, account: Account
    ) -> None:
        self._means = means
        self._task = task
        self._asked = asked
        self._screening = config.screening
        self._turns = turns
        self._account = account
        self._began_s = means.clock.monotonic_s()

    async def result(self, cache: AnswerCache | None) -> ModelResult:
        """The answer that was given before, where the task may have that; else the first candidate's that gives one.

        Raises:
            GatewayError: there is none.
        """
        if cache is None or not self._task.cached:
            return (await self._answered())[0]
        asked = replace(self._asked, cached=True)
        async with cache.asking(asked, self._turns.names, question_of_task(self._task)) as question:
            if question.kept is not None and (again := await self._again(question.kept)) is not None:
                return again
            result, sealed = await self._answered()
            # Tokens of one run's vault mean nothing to another run.
            question.answer = None if sealed else kept_task(result.output, result.model)
            return result

    async def _answered(self) -> tuple[ModelResult, bool]:
        """A model's answer, and whether tokens of the run's vault are in it."""
        task, account, turns = self._task, self._account, self._turns
        for candidate in turns:
            name = candidate.spec.name
            try:
                # Anew for each candidate: another model's permit may demand more, or less.
                gate = Gate(self._means.screen, self._screening, candidate, account.signals)
                bounds = bounds_of(candidate.obligations)
                note(bounds, account.signals)
                bounded = bounded_task(task, bounds)
                protected = await self._means.protector.protect(bounded, candidate.obligations, self._asked.vault)
                await gate.enter(texts_of(protected.task.variables))
                async with guarded(self._means, self._asked, candidate, task.timeout_s, account):
                    call = Call(candidate.spec, candidate.provider, protected, account.payer)
                    output, reply = await call.run()
                await gate.leave(list(texts_of(output)))
            except (NotProtectedError, CallFailed) as error:
                turns.failed(candidate, account.failed_with(name, error))
                continue
            account.answered(name, reply.finish_reason)
            result = ModelResult(
                output=output,
                model=name,
                provider=candidate.provider.name,
                usage=total_usage(account.attempts),
                attempts=tuple(account.attempts),
                finish_reason=reply.finish_reason,
                latency_s=self._means.clock.monotonic_s() - self._began_s,
                likelihood=reply.likelihood,
            )
            return result, protected.lasting
        raise final_error(task.task, turns.failures, account.attempts)

    async def _again(self, kept: ChatReply) -> ModelResult | None:
        """What was kept, as it may be given now; none where it has to be asked anew.

        Raises:
            GatewayError: the first candidate's permit, or a filter, does not let it pass.
        """
        candidate = next(iter(self._turns), None)
        if candidate is None or any(duty.kind == VAULT for duty in candidate.obligations):
            return None
        try:
            bounds = bounds_of(candidate.obligations)
            note(bounds, self._account.signals)
            output = task_again(kept, bounded_task(self._task, bounds))
            if output is None:
                return None
            gate = Gate(self._means.screen, self._screening, candidate, self._account.signals)
            protected = await self._means.protector.protect(self._task, candidate.obligations)
            await gate.enter(texts_of(protected.task.variables))
            await gate.leave(list(texts_of(output)))
        except (NotProtectedError, CallFailed) as error:
            failure = self._account.failed_with(candidate.spec.name, error)
            raise final_error(self._task.task, [failure], ()) from None
        self._account.answered(kept.model, cached=True)
        took_s = self._means.clock.monotonic_s() - self._began_s
        return ModelResult(output, kept.model, "", NO_USAGE, (), "stop", took_s, cached=True)


@asynccontextmanager
async def guarded(
    means: Means, asked: Asked, candidate: Candidate, timeout_s: float, account: Account
) -> AsyncGenerator[None]:
    """The block's calls are let through, and tell how the model does by the last of them."""
    guard, before = means.guard, len(account.attempts)
    org_id, name = asked.caller.org_id, candidate.spec.name
    entry = await guard.admitted(org_id, name, timeout_s)
    trace(candidate.spec, asked.trace, asked.caller.run_id, asked.caller.step)
    try:
        yield
    finally:
        last = account.attempts[-1] if len(account.attempts) > before else None
        outcome = None if last is None else Outcome(last.outcome, last.latency_s)
        await means.finishing.done(guard.ended(org_id, name, entry, outcome))
