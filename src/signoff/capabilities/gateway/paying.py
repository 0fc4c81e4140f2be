"""What a call to a model may cost is there before it is made, and what it cost is counted after it, however it ends."""

from __future__ import annotations

from collections.abc import AsyncGenerator, Callable, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field

from signoff.capabilities.gateway.asking import Admission, Asked, Estimate, LimitReached, Limits, Tried
from signoff.capabilities.gateway.budget import Budget
from signoff.capabilities.gateway.chat import ChatUsage
from signoff.capabilities.gateway.failures import CallFailed, Failure
from signoff.capabilities.gateway.model import Attempt
from signoff.capabilities.gateway.pricing import price_version
from signoff.capabilities.gateway.provider import Provider
from signoff.catalog.models import ModelSpec
from signoff.core.clock import Clock
from signoff.core.money import Cost, Usage
from signoff.core.values import value

Lacking = Callable[[Cost | None], Failure]
"""What to say where a budget has no room for so much, or where nobody knows how much."""


@dataclass(slots=True)
class Payment:
    """How one call goes. The block that makes it says so here.

    Attributes:
        usage: what it used; before an answer what it may have used.
        outcome: `ok`, or the kind of failure.
        broken: codes of what the answer broke.
        tokens: what the vendor reported; none where it said nothing.
    """

    usage: Usage
    outcome: str = "cancelled"
    broken: tuple[str, ...] = ()
    tokens: ChatUsage | None = None


@value
class Payer:
    """Who pays for a task's calls, and who is told of each.

    Attributes:
        clock: for latencies.
        budget: what the run may still spend; none is no limit.
        note: told every call as it ends, also one that fails or is cancelled.
        limits: the project's quotas and budgets; none is no limit.
        asked: on whose account; none counts in no limit.
        tried: every call, for the record.
    """

    clock: Clock
    budget: Budget | None
    note: Callable[[Attempt], None]
    limits: Limits | None = None
    asked: Asked | None = None
    tried: list[Tried] = field(default_factory=list[Tried])

    @asynccontextmanager
    async def paid(
        self,
        spec: ModelSpec,
        provider: Provider,
        most: Estimate,
        *,
        repair: int = 0,
        also: Sequence[tuple[Budget, Lacking]] = (),
    ) -> AsyncGenerator[Payment]:
        """Set aside what the call may cost, let the block make it, and settle.

        A call that is cut off counts as what was set aside: vendors bill what they went on to write. One that the
        vendor refused counts as nothing but a call.

        Args:
            spec: who is called.
            provider: its connection.
            most: what it may come to.
            repair: which repair of the model's answer it is.
            also: budgets beside the run's, each with what to say where it has no room.

        Raises:
            CallFailed: some budget or limit has no room; or what the block raises.
        """
        budgets = [*also, *([] if self.budget is None else [(self.budget, run_lacks(spec, self.budget))])]
        held = _held(budgets, most.cost)
        try:
            admission = await self._admitted(spec, most)
        except BaseException:
            _settle(held, most.cost, Cost())
            raise
        payment = Payment(unanswered(provider, most.input_tokens, most.cost))
        started_s = self.clock.monotonic_s()
        try:
            yield payment
        except CallFailed as failed:
            payment.outcome = failed.failure.kind
            if payment.outcome != "timeout":
                payment.usage = Usage(model_calls=1)
            raise
        finally:
            took_s, usage = self.clock.monotonic_s() - started_s, payment.usage
            _settle(held, most.cost, usage.cost)
            self.note(Attempt(spec.name, provider.name, payment.outcome, usage, took_s, repair, payment.broken))
            version = price_version(spec, local=provider.local)
            told = (payment.outcome, usage, None, took_s, version, most, payment.tokens)
            self.tried.append(Tried(spec.name, provider.name, *told))
            if admission is not None:
                await admission.settle(usage)

    async def _admitted(self, spec: ModelSpec, most: Estimate) -> Admission | None:
        if self.limits is None or self.asked is None:
            return None
        try:
            return await self.limits.admit(self.asked, spec, most)
        except LimitReached as full:
            failure = Failure(spec.name, full.kind, full.detail, full.retry_after_s, at_limit=full.at_limit)
            raise CallFailed(failure) from None


def unanswered(provider: Provider, input_tokens: int, most: Cost | None) -> Usage:
    """What a call counts as whose answer nobody waited for: vendors bill what they went on to write.

    Args:
        provider: who was asked; local models cost nothing.
        input_tokens: the estimate of what it was given.
        most: what the call could cost at most; none where nobody knows.
    """
    return Usage(model_calls=1) if provider.local else Usage(1, input_tokens, 0, most or Cost())


def run_lacks(spec: ModelSpec, budget: Budget) -> Lacking:
    """What to say where the run's budget has no room for a call of that model."""

    def lacks(most: Cost | None) -> Failure:
        if most is None:
            detail = "Nobody knows its price, and the run has a budget: set `price` of the model in models.yaml."
        else:
            detail = f"It may cost {most}, and {budget.left} of the budget is left."
        return Failure(spec.name, "budget", detail)

    return lacks


def _held(budgets: Sequence[tuple[Budget, Lacking]], most: Cost | None) -> list[Budget]:
    """The budgets in which it was set aside: all of them, or none."""
    held: list[Budget] = []
    for budget, lacks in budgets:
        if most is None or not budget.reserve(most):
            _settle(held, most, Cost())
            raise CallFailed(lacks(most))
        held.append(budget)
    return held


def _settle(held: Sequence[Budget], reserved: Cost | None, actual: Cost) -> None:
    for budget in held:
        budget.settle(reserved or Cost(), actual)
