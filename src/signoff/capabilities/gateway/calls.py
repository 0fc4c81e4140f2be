"""One model's part in a task: budget, call, judgement, repairs; and what all models' failures together mean."""

from __future__ import annotations

import asyncio
import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from signoff.capabilities.gateway.answers import Judged, judge, repair_messages
from signoff.capabilities.gateway.budget import BYTES_PER_TOKEN, Budget, estimated_input_tokens
from signoff.capabilities.gateway.model import (
    Attempt,
    FinishReason,
    GatewayError,
    ModelTask,
)
from signoff.capabilities.gateway.pricing import price
from signoff.capabilities.gateway.protection import Protected
from signoff.capabilities.gateway.provider import Provider, ProviderError, ProviderReply, ProviderRequest
from signoff.catalog.models import ModelSpec
from signoff.catalog.prompts import PromptMessage
from signoff.core.clock import Clock
from signoff.core.errors import Problem
from signoff.core.money import Cost, Usage

RETRYABLE = frozenset({"timeout", "rate_limited", "unavailable"})
"""Kinds of failure that may pass by themselves."""


@dataclass(frozen=True, slots=True)
class Failure:
    """Why one model gave no answer.

    Attributes:
        model: its name in `models.yaml`.
        kind: `forbidden`, `budget`, `contract`, `refused`, or a `ProviderError` kind.
        detail: for people, without content or keys.
        retry_after_s: how long the vendor asked to wait, in seconds.
        problems: how its answer broke the contract.
        policies: that forbade it.
        at_limit: what the project declared for this case; of `quota` and `budget`.
    """

    model: str
    kind: str
    detail: str
    retry_after_s: float | None = None
    problems: tuple[Problem, ...] = ()
    policies: tuple[str, ...] = ()
    at_limit: str = ""

    @property
    def final(self) -> bool:
        """Whether no other model may be asked.

        Asking around until some model agrees is no safety, and a limit that refuses is not gone round.
        """
        return self.kind in ("refused", "content_filter") or self.at_limit in ("refuse", "ask", "park")


class CallFailed(Exception):  # noqa: N818  (never leaves the gateway; it carries a Failure to the next candidate)
    """One model gave no answer."""

    def __init__(self, failure: Failure) -> None:
        super().__init__(failure.detail)
        self.failure = failure


@dataclass(frozen=True, slots=True)
class Call:
    """A task given to one model, with the repairs that it gets.

    Attributes:
        protected: the task as this model may see it, and the way back for its answer.
    """

    spec: ModelSpec
    provider: Provider
    protected: Protected
    clock: Clock
    budget: Budget | None
    note: Callable[[Attempt], None]

    @property
    def task(self) -> ModelTask:
        """As the model may see it."""
        return self.protected.task

    async def run(self) -> tuple[Mapping[str, Any], FinishReason]:
        """The validated output.

        Raises:
            CallFailed: there is none from this model.
        """
        messages = tuple(self.task.messages)
        tries = 1 + (self.task.repairs if self.provider.repairable else 0)
        problems: Sequence[Problem] = ()
        for repair in range(tries):
            reply, judged = await self._try(messages, repair, problems)
            if reply.finish_reason == "refusal":
                raise CallFailed(Failure(self.spec.name, "refused", "The model or its vendor's filter declined."))
            if not judged.problems:
                return judged.output, reply.finish_reason
            problems = judged.problems
            messages = repair_messages(self.task.messages, reply, problems, self.protected.conceal)
        first = next(iter(problems), "")
        detail = f"It broke its contract {tries} times: {first}" if tries > 1 else f"It broke its contract: {first}"
        raise CallFailed(Failure(self.spec.name, "contract", detail, problems=tuple(problems)))

    async def _try(
        self, messages: Sequence[PromptMessage], repair: int, problems: Sequence[Problem]
    ) -> tuple[ProviderReply, Judged]:
        """One call, paid for and noted whatever comes of it."""
        estimated = estimated_input_tokens(messages)
        most = self._price(estimated, self.task.max_output_tokens)
        for_repairs = self._reserve_repair(most, problems) if repair else Cost()
        try:
            reserved = self._reserve(most)
        except CallFailed:
            self._settle_repair(repair, for_repairs, Cost())
            raise
        started_s = self.clock.monotonic_s()
        outcome, usage, judged = "cancelled", unanswered(self.provider, estimated, most), Judged({})
        try:
            reply = await self._send(messages)
            usage = self._usage(messages, reply)
            judged = judge(reply, self.task.output_schema, self.protected.restore, self.task.checks)
            outcome = _outcome(reply, judged)
        except CallFailed as failed:
            outcome = failed.failure.kind
            if outcome != "timeout":
                usage = Usage(model_calls=1)
            raise
        finally:
            if self.budget is not None:
                self.budget.settle(reserved, usage.cost)
            self._settle_repair(repair, for_repairs, usage.cost)
            elapsed_s = self.clock.monotonic_s() - started_s
            broken = tuple(dict.fromkeys(problem.code or "schema" for problem in judged.problems))
            self.note(Attempt(self.spec.name, self.provider.name, outcome, usage, elapsed_s, repair, broken))
        return reply, judged

    def _reserve_repair(self, most: Cost | None, problems: Sequence[Problem]) -> Cost:
        budget = self.task.repair_budget
        if budget is None:
            return Cost()
        if most is not None and budget.reserve(most):
            return most
        why = "nobody knows its price" if most is None else f"it may cost {most}, and {budget.left} is left for repairs"
        detail = f"It broke its contract, and is not repaired: {why}. {next(iter(problems), '')}"
        raise CallFailed(Failure(self.spec.name, "contract", detail, problems=tuple(problems)))

    def _settle_repair(self, repair: int, reserved: Cost, cost: Cost) -> None:
        if repair and self.task.repair_budget is not None:
            self.task.repair_budget.settle(reserved, cost)

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
        )
        try:
            async with asyncio.timeout(task.timeout_s):
                return await self.provider.complete(request)
        except TimeoutError:
            raise CallFailed(Failure(self.spec.name, "timeout", f"No answer in {task.timeout_s:g} s.")) from None
        except ProviderError as error:
            raise CallFailed(Failure(self.spec.name, error.kind, error.detail, error.retry_after_s)) from None

    def _reserve(self, most: Cost | None) -> Cost:
        if self.budget is None:
            return Cost()
        if most is None:
            raise CallFailed(
                Failure(
                    self.spec.name,
                    "budget",
                    "Nobody knows its price, and the run has a budget: set `price` of the model in models.yaml.",
                )
            )
        if not self.budget.reserve(most):
            raise CallFailed(
                Failure(self.spec.name, "budget", f"It may cost {most}, and {self.budget.left} of the budget is left.")
            )
        return most

    def _usage(self, messages: Sequence[PromptMessage], reply: ProviderReply) -> Usage:
        tokens_in, tokens_out = reply.input_tokens, reply.output_tokens
        if not self.provider.local and not tokens_in and not tokens_out:
            # Some compatible servers report nothing; a budget must not be blind to them.
            tokens_in = estimated_input_tokens(messages)
            tokens_out = math.ceil(len(reply.text.encode()) / BYTES_PER_TOKEN)
        return Usage(1, tokens_in, tokens_out, self._price(tokens_in, tokens_out) or Cost())

    def _price(self, input_tokens: int, output_tokens: int) -> Cost | None:
        try:
            return price(self.spec, local=self.provider.local, input_tokens=input_tokens, output_tokens=output_tokens)
        except ProviderError as error:
            raise CallFailed(Failure(self.spec.name, error.kind, error.detail)) from None


def _outcome(reply: ProviderReply, judged: Judged) -> str:
    if reply.finish_reason == "refusal":
        return "refused"
    return "contract" if judged.problems else "ok"


def unanswered(provider: Provider, input_tokens: int, most: Cost | None) -> Usage:
    """What a call counts as whose answer nobody waited for: vendors bill what they went on to write.

    Args:
        provider: who was asked; local models cost nothing.
        input_tokens: the estimate of what it was given.
        most: what the call could cost at most; none where nobody knows.
    """
    return Usage(model_calls=1) if provider.local else Usage(1, input_tokens, 0, most or Cost())


def final_error(task: str, failures: Sequence[Failure], attempts: Sequence[Attempt]) -> GatewayError:
    """What the failures of all candidates together mean.

    A refusal decides; else what may pass by itself makes the whole task worth a retry; else a broken contract says more
    than missing money, which says more than policy, because the earlier ones got further.
    """
    kinds = {failure.kind for failure in failures}
    detail = f"No model could do the task '{task}'. " + " ".join(f"{item.model}: {item.detail}" for item in failures)
    waits = [item.retry_after_s for item in failures if item.kind in RETRYABLE and item.retry_after_s is not None]
    problems = [problem for item in failures for problem in item.problems]
    retryable = False
    if "refused" in kinds:
        kind = "model_refused"
    elif kinds & RETRYABLE:
        kind, retryable = "model_unavailable", True
    elif "contract" in kinds:
        kind = "model_contract"
    elif "budget" in kinds:
        kind = "budget"
    elif kinds == {"forbidden"}:
        kind = "forbidden"
    else:
        kind = "model_unavailable"
    return GatewayError(
        detail,
        kind=kind,
        retryable=retryable,
        retry_after_s=min(waits, default=None) if retryable else None,
        problems=problems,
        attempts=attempts,
    )
