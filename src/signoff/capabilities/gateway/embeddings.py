"""One model's part in making vectors: budget, call, accounting."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from signoff.capabilities.gateway.budget import BYTES_PER_TOKEN, Budget
from signoff.capabilities.gateway.calls import CallFailed, Failure, unanswered
from signoff.capabilities.gateway.model import Attempt
from signoff.capabilities.gateway.pricing import price
from signoff.capabilities.gateway.provider import Provider, ProviderError
from signoff.catalog.models import ModelSpec
from signoff.core.clock import Clock
from signoff.core.money import Cost, Usage

Vectors = tuple[tuple[float, ...], ...]


@dataclass(frozen=True, slots=True)
class Embedding:
    """Texts given to one model."""

    spec: ModelSpec
    provider: Provider
    texts: Sequence[str]
    timeout_s: float
    clock: Clock
    budget: Budget | None
    note: Callable[[Attempt], None]

    async def run(self) -> tuple[Vectors, Usage]:
        """The vectors, and what they cost by the estimate of their tokens: providers do not tell it.

        Raises:
            CallFailed: there are none from this model.
        """
        tokens = sum(len(text.encode()) // BYTES_PER_TOKEN + 1 for text in self.texts)
        cost = price(self.spec, local=self.provider.local, input_tokens=tokens, output_tokens=0)
        if self.budget is not None and (cost is None or not self.budget.reserve(cost)):
            raise CallFailed(Failure(self.spec.name, "budget", "What is left of the run's budget does not cover it."))
        reserved = cost or Cost()
        started_s = self.clock.monotonic_s()
        outcome, usage = "cancelled", unanswered(self.provider, tokens, reserved)
        try:
            vectors = await self._send()
            outcome, usage = "ok", Usage(1, tokens, 0, reserved)
        except CallFailed as failed:
            outcome = failed.failure.kind
            if outcome != "timeout":
                usage = Usage(model_calls=1)
            raise
        finally:
            if self.budget is not None:
                self.budget.settle(reserved, usage.cost)
            elapsed_s = self.clock.monotonic_s() - started_s
            self.note(Attempt(self.spec.name, self.provider.name, outcome, usage, elapsed_s))
        return tuple(tuple(vector) for vector in vectors), usage

    async def _send(self) -> Sequence[Sequence[float]]:
        try:
            async with asyncio.timeout(self.timeout_s):
                return await self.provider.embed(self.texts)
        except TimeoutError:
            raise CallFailed(Failure(self.spec.name, "timeout", f"No answer in {self.timeout_s:g} s.")) from None
        except ProviderError as error:
            raise CallFailed(Failure(self.spec.name, error.kind, error.detail, error.retry_after_s)) from None
