"""One model's part in making vectors: budget, call, accounting."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence

from signoff.capabilities.gateway.asking import Estimate
from signoff.capabilities.gateway.budget import BYTES_PER_TOKEN
from signoff.capabilities.gateway.failures import CallFailed, Failure
from signoff.capabilities.gateway.paying import Payer
from signoff.capabilities.gateway.pricing import price
from signoff.capabilities.gateway.provider import Provider, ProviderError
from signoff.catalog.models import ModelSpec
from signoff.core.money import Cost, Usage
from signoff.core.values import value

Vectors = tuple[tuple[float, ...], ...]


@value
class Embedding:
    """Texts given to one model."""

    spec: ModelSpec
    provider: Provider
    texts: Sequence[str]
    timeout_s: float
    payer: Payer

    async def run(self) -> tuple[Vectors, Usage]:
        """The vectors, and what they cost by the estimate of their tokens: providers do not tell it.

        Raises:
            CallFailed: there are none from this model.
        """
        tokens = sum(len(text.encode()) // BYTES_PER_TOKEN + 1 for text in self.texts)
        try:
            cost = price(self.spec, local=self.provider.local, input_tokens=tokens, output_tokens=0)
        except ProviderError as error:
            raise CallFailed(Failure(self.spec.name, error.kind, error.detail)) from None
        async with self.payer.paid(self.spec, self.provider, Estimate(tokens, 0, cost)) as payment:
            vectors = await self._send()
            payment.outcome, payment.usage = "ok", Usage(1, tokens, 0, cost or Cost())
        return tuple(tuple(vector) for vector in vectors), payment.usage

    async def _send(self) -> Sequence[Sequence[float]]:
        try:
            async with asyncio.timeout(self.timeout_s):
                return await self.provider.embed(self.texts)
        except TimeoutError:
            raise CallFailed(Failure(self.spec.name, "timeout", f"No answer in {self.timeout_s:g} s.")) from None
        except ProviderError as error:
            raise CallFailed(Failure(self.spec.name, error.kind, error.detail, error.retry_after_s)) from None
