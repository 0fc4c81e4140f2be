"""One model's part in a task: the call, paid for, its judgement, and repairs."""

from __future__ import annotations

import asyncio
import math
from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any

from signoff.capabilities.gateway.answers import Judged, judge, repair_messages
from signoff.capabilities.gateway.asking import Estimate
from signoff.capabilities.gateway.bounds import cut_at
from signoff.capabilities.gateway.budget import BYTES_PER_TOKEN, Budget, estimated_input_tokens
from signoff.capabilities.gateway.chat import ChatUsage
from signoff.capabilities.gateway.chats.bounding import most_characters
from signoff.capabilities.gateway.failures import CallFailed, Failure
from signoff.capabilities.gateway.model import ModelTask
from signoff.capabilities.gateway.paying import Lacking, Payer
from signoff.capabilities.gateway.pricing import price, priced
from signoff.capabilities.gateway.protection import Protected
from signoff.capabilities.gateway.provider import Provider, ProviderError, ProviderReply, ProviderRequest
from signoff.catalog.models import ModelSpec
from signoff.catalog.prompts import PromptMessage
from signoff.core.errors import Problem
from signoff.core.money import Cost, Usage
from signoff.core.values import value


@value
class Call:
    """A task given to one model, with the repairs that it gets.

    Attributes:
        protected: the task as this model may see it, and the way back for its answer.
        payer: pays for each call.
    """

    spec: ModelSpec
    provider: Provider
    protected: Protected
    payer: Payer

    @property
    def task(self) -> ModelTask:
        """As the model may see it."""
        return self.protected.task

    async def run(self) -> tuple[Mapping[str, Any], ProviderReply]:
        """The validated output, and the reply that it was read from.

        Raises:
            CallFailed: there is none from this model.
        """
        messages = tuple(self.task.messages)
        tries = 1 + (self.task.repairs if self.provider.repairable else 0)
        problems: Sequence[Problem] = ()
        cut = False
        for repair in range(tries):
            reply, judged = await self._try(messages, repair, problems)
            _raise_declined(self.spec.name, reply)
            if not judged.problems:
                return judged.output, reply
            cut = reply.finish_reason == "length"
            problems = judged.problems
            messages = repair_messages(self.task.messages, reply, problems, self.protected.conceal)
        first = next(iter(problems), "")
        if cut:
            detail = f"Its answer was cut off at {self.task.max_output_tokens} tokens (`max_output_tokens`)."
            raise CallFailed(Failure(self.spec.name, "truncated", detail, problems=tuple(problems)))
        detail = f"It broke its contract {tries} times: {first}" if tries > 1 else f"It broke its contract: {first}"
        raise CallFailed(Failure(self.spec.name, "contract", detail, problems=tuple(problems)))

    async def _try(
        self, messages: Sequence[PromptMessage], repair: int, problems: Sequence[Problem]
    ) -> tuple[ProviderReply, Judged]:
        """One call, paid for and noted whatever comes of it."""
        estimated = estimated_input_tokens(messages)
        most = Estimate(estimated, self.task.max_output_tokens, self._price(estimated, self.task.max_output_tokens))
        also = self._for_repairs(problems) if repair else ()
        async with self.payer.paid(self.spec, self.provider, most, repair=repair, also=also) as payment:
            reply = await self._send(messages)
            payment.usage, payment.tokens = self._usage(messages, reply), reply.usage
            judged = judge(reply, self.task.output_schema, self.protected.restore, self.task.checks)
            payment.outcome = _outcome(reply, judged)
            payment.broken = tuple(dict.fromkeys(problem.code or "schema" for problem in judged.problems))
        return reply, judged

    def _for_repairs(self, problems: Sequence[Problem]) -> Sequence[tuple[Budget, Lacking]]:
        budget = self.task.repair_budget
        if budget is None:
            return ()

        def lacks(most: Cost | None) -> Failure:
            known = f"it may cost {most}, and {budget.left} is left for repairs"
            why = "nobody knows its price" if most is None else known
            detail = f"It broke its contract, and is not repaired: {why}. {next(iter(problems), '')}"
            return Failure(self.spec.name, "contract", detail, problems=tuple(problems))

        return ((budget, lacks),)

    async def _send(self, messages: Sequence[PromptMessage]) -> ProviderReply:
        task = self.task
        request = ProviderRequest(
            task=task.task,
            messages=messages,
            output_schema=task.output_schema,
            max_output_tokens=task.max_output_tokens,
            timeout_s=task.timeout_s,
            variables=task.variables,
            labels=task.labels,
            examples=task.examples,
            hints=task.hints,
            likelihood=task.likelihood,
            stop=task.stop,
        )
        try:
            async with asyncio.timeout(task.timeout_s):
                return _cut(await self.provider.complete(request), request)
        except TimeoutError:
            raise CallFailed(Failure(self.spec.name, "timeout", f"No answer in {task.timeout_s:g} s.")) from None
        except ProviderError as error:
            raise CallFailed(Failure(self.spec.name, error.kind, error.detail, error.retry_after_s)) from None

    def _usage(self, messages: Sequence[PromptMessage], reply: ProviderReply) -> Usage:
        tokens_in, tokens_out = reply.input_tokens, reply.output_tokens
        if reply.usage is not None:
            return Usage(1, tokens_in, tokens_out, self._priced(reply.usage))
        if not self.provider.local and not tokens_in and not tokens_out:
            # Some compatible servers report nothing; a budget must not be blind to them.
            tokens_in = estimated_input_tokens(messages)
            tokens_out = math.ceil(len(reply.text.encode()) / BYTES_PER_TOKEN)
        return Usage(1, tokens_in, tokens_out, self._price(tokens_in, tokens_out) or Cost())

    def _priced(self, reported: ChatUsage) -> Cost:
        try:
            found = priced(self.spec, reported, local=self.provider.local)
        except ProviderError as error:
            raise CallFailed(Failure(self.spec.name, error.kind, error.detail)) from None
        return Cost() if found is None else found.cost

    def _price(self, input_tokens: int, output_tokens: int) -> Cost | None:
        try:
            return price(self.spec, local=self.provider.local, input_tokens=input_tokens, output_tokens=output_tokens)
        except ProviderError as error:
            raise CallFailed(Failure(self.spec.name, error.kind, error.detail)) from None


def _cut(reply: ProviderReply, request: ProviderRequest) -> ProviderReply:
    """No longer a text than was allowed, also of vendors that do not count; half a JSON is none, and judged as such."""
    if (before := cut_at(reply.text, request.stop)) is not None:
        reply = replace(reply, text=before, finish_reason="stop")
    most = most_characters(request.max_output_tokens)
    if request.output_schema is not None or most is None or len(reply.text) <= most:
        return reply
    return replace(reply, text=reply.text[:most], finish_reason="length")


def _raise_declined(model: str, reply: ProviderReply) -> None:
    """Fail where there is no answer because the model or its vendor does not want to give one."""
    if reply.finish_reason == "refusal":
        raise CallFailed(Failure(model, "refused", "The model declined."))
    if reply.finish_reason == "content_filter":
        raise CallFailed(Failure(model, "content_filter", "The vendor's filter withheld the answer."))


def _outcome(reply: ProviderReply, judged: Judged) -> str:
    if reply.finish_reason in ("refusal", "content_filter"):
        return "refused" if reply.finish_reason == "refusal" else "content_filter"
    if judged.problems:
        return "truncated" if reply.finish_reason == "length" else "contract"
    return "ok"
