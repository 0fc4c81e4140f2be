"""The gateway: one way to any model. Policy, route, budget, call, validation, repair, accounting, in that order."""

from __future__ import annotations

import asyncio
import os
from collections import OrderedDict
from collections.abc import AsyncGenerator, Callable, Mapping, Sequence
from contextlib import AsyncExitStack, asynccontextmanager, suppress
from typing import Any

import orjson

from signoff.capabilities.gateway.budget import Budget
from signoff.capabilities.gateway.calls import Call, CallFailed, Failure, final_error
from signoff.capabilities.gateway.configuration import resolve
from signoff.capabilities.gateway.embeddings import Embedding
from signoff.capabilities.gateway.model import (
    MAX_CANDIDATES,
    Attempt,
    Decide,
    Embeddings,
    GatewayError,
    ModelResult,
    ModelTask,
    ObligationLike,
    total_usage,
)
from signoff.capabilities.gateway.pricing import price
from signoff.capabilities.gateway.protection import CARRIED_OUT, NotProtectedError, Protector
from signoff.capabilities.gateway.provider import Provider, ProviderError, ProviderFactory, TakesTurns
from signoff.catalog.models import ModelsConfig, ModelSpec
from signoff.core.clock import Clock, SystemClock
from signoff.core.ids import digest

MAX_PROVIDERS = 64
"""How many configured models keep their connections; the one unused longest is closed first."""
EMBED_TIMEOUT_S = 120.0
"""How long one embedding call may take where the caller does not say, in seconds."""

Observe = Callable[[Attempt], None]


class Gateway:
    """Answers model tasks by the models and routes of a project.

    Args:
        factories: what makes a provider, by provider kind; all built-in kinds where not given.
        clock: for latencies.
        environment: where `${env.NAME}` is looked up; the process's where not given.
        profile: the profile of `models.yaml` to use, so that one release runs on local or vendors' models.
        protector: carries out what permits demand for personal data.
    """

    def __init__(
        self,
        factories: Mapping[str, ProviderFactory] | None = None,
        *,
        clock: Clock | None = None,
        environment: Mapping[str, str] | None = None,
        profile: str | None = None,
        protector: Protector | None = None,
    ) -> None:
        from signoff.capabilities.gateway.providers import default_factories  # noqa: PLC0415  (keeps the face light)

        self._factories = default_factories() if factories is None else dict(factories)
        self._clock = clock or SystemClock()
        self._environment = os.environ if environment is None else environment
        self._profile = profile
        self._protector = protector or Protector()
        self._providers: OrderedDict[str, Provider] = OrderedDict()
        self._making = asyncio.Lock()

    async def complete(
        self,
        task: ModelTask,
        config: ModelsConfig,
        *,
        decide: Decide,
        budget: Budget | None = None,
        observe: Observe | None = None,
    ) -> ModelResult:
        """An answer that meets the task's contract, from the first model of its route that can give one.

        A model that is forbidden, too dear, not set up, unavailable, or (after its repairs) breaks the contract is
        passed over for the next. A refusal ends the task: asking around until some model agrees is no safety.

        Args:
            task: what to do.
            config: the project's models and routes.
            decide: policy's answer for each model before it is called.
            budget: what the run may still spend; none is no limit.
            observe: told every attempt as it ends, even where the task then fails or is cancelled.

        Raises:
            GatewayError: kinds `model_contract`, `model_unavailable` (retryable, or not where set-up is wrong),
                `model_refused`, `budget`, `forbidden`. It carries all attempts: failed ones cost tokens too.
        """
        started_s = self._clock.monotonic_s()
        attempts: list[Attempt] = []

        def note(attempt: Attempt) -> None:
            attempts.append(attempt)
            if observe is not None:
                observe(attempt)

        failures: list[Failure] = []
        for spec in self.route(config, task.task, task.prompt):
            try:
                provider, duties = await self._permitted(spec, task.task, task.prompt, decide)
                # Anew for each candidate: another model's permit may demand more, or less.
                protected = await self._protector.protect(task, duties)
                call = Call(spec, provider, protected, self._clock, budget, note)
                output, finish_reason = await call.run()
            except NotProtectedError as error:
                failures.append(Failure(spec.name, "forbidden", str(error)))
                continue
            except CallFailed as failed:
                failures.append(failed.failure)
                if failed.failure.final:
                    break
                continue
            return ModelResult(
                output=output,
                model=spec.name,
                provider=provider.name,
                usage=total_usage(attempts),
                attempts=tuple(attempts),
                finish_reason=finish_reason,
                latency_s=self._clock.monotonic_s() - started_s,
            )
        raise final_error(task.task, failures, attempts)

    async def embed(
        self,
        texts: Sequence[str],
        config: ModelsConfig,
        *,
        decide: Decide,
        budget: Budget | None = None,
        timeout_s: float = EMBED_TIMEOUT_S,
        observe: Observe | None = None,
    ) -> Embeddings:
        """Vectors of texts by the first permitted model of the `embed` route that answers.

        There is no fallback after a model of another kind has answered before: vectors of two models do not compare,
        so whoever stores them stores `Embeddings.model` with them. Arguments are those of `complete`; `timeout_s` is
        for each call, in seconds.

        Raises:
            GatewayError: as `complete`.
        """
        failures: list[Failure] = []
        attempts: list[Attempt] = []

        def note(attempt: Attempt) -> None:
            attempts.append(attempt)
            if observe is not None:
                observe(attempt)

        for spec in self.route(config, "embed", None):
            try:
                provider, duties = await self._permitted(spec, "embed", "", decide)
                shown = await self._protector.protect_texts(texts, duties)
                embedding = Embedding(spec, provider, shown, timeout_s, self._clock, budget, note)
                vectors, usage = await embedding.run()
                return Embeddings(vectors, spec.name, usage)
            except NotProtectedError as error:
                failures.append(Failure(spec.name, "forbidden", str(error)))
            except CallFailed as failed:
                failures.append(failed.failure)
        raise final_error("embed", failures, attempts)

    @asynccontextmanager
    async def turn(self, config: ModelsConfig, task: str, prompt: str | None) -> AsyncGenerator[None]:
        """Wait until the first model of a route can take a call, outside of any call's timeout.

        A model that cannot be had at all lets the caller in at once: `complete` says what is wrong.
        """
        async with AsyncExitStack() as stack:
            with suppress(ProviderError, GatewayError):
                provider = await self._provider(self.route(config, task, prompt)[0])
                if isinstance(provider, TakesTurns):
                    await stack.enter_async_context(provider.turn())
            yield

    async def aclose(self) -> None:
        """Give back every connection."""
        while self._providers:
            _, provider = self._providers.popitem()
            await provider.aclose()

    def route(self, config: ModelsConfig, task: str, prompt: str | None) -> tuple[ModelSpec, ...]:
        """The models that may answer, in fallback order.

        Raises:
            GatewayError: kind `model_unavailable`, no route is for that task.
        """
        candidates = config.route(task, prompt, profile=self._profile)[:MAX_CANDIDATES]
        if not candidates:
            raise GatewayError(
                f"No route of models.yaml is for the task '{task}': add `- {{task: {task}, use: […]}}`.",
                kind="model_unavailable",
            )
        return candidates

    async def _permitted(
        self, spec: ModelSpec, task: str, prompt: str, decide: Decide
    ) -> tuple[Provider, Sequence[ObligationLike]]:
        """The provider of a model that policy permits and that does this kind of task, and what the permit demands."""
        provider: Provider | None = None
        wrong: ProviderError | None = None
        try:
            provider = await self._provider(spec)
        except ProviderError as error:
            wrong = error
        attributes: dict[str, Any] = {
            "provider": spec.provider,
            "local": provider is not None and provider.local,
            "task": task,
            "prompt": prompt,
        }
        decision = decide(spec.name, attributes)
        if not decision.permit:
            by = ", ".join(decision.policies) or "default deny"
            raise CallFailed(Failure(spec.name, "forbidden", f"Policy forbids it ({by})."))
        unmet = [duty for duty in decision.obligations if duty.kind not in CARRIED_OUT]
        if unmet:
            # Whoever cannot do what a permit demands must not act on it (XACML 3.0, section 7.2, deny-biased PEP).
            duties = ", ".join(f'@{duty.kind}("{duty.value}")' for duty in unmet)
            by = ", ".join(decision.policies)
            raise CallFailed(Failure(spec.name, "forbidden", f"The permit ({by}) demands {duties}, not done here."))
        if provider is None:
            assert wrong is not None
            raise CallFailed(Failure(spec.name, wrong.kind, wrong.detail))
        if task not in provider.tasks:
            raise CallFailed(Failure(spec.name, "cannot", f"{provider.name} does not do the task '{task}'."))
        return provider, decision.obligations

    async def _provider(self, spec: ModelSpec) -> Provider:
        factory = self._factories.get(spec.provider)
        if factory is None:
            known = ", ".join(sorted(self._factories))
            raise ProviderError("setup", f"There is no provider '{spec.provider}'; there are: {known}.")
        resolved = resolve(spec, self._environment)
        # A digest, so that keys of the vendors are not kept in a second place.
        key = digest(orjson.dumps([spec.name, spec.provider, dict(resolved.settings)], option=orjson.OPT_SORT_KEYS))
        async with self._making:
            provider = self._providers.get(key)
            if provider is None:
                # In a thread, because a vendor's SDK takes a second to import and no other run should wait for it.
                provider = self._providers[key] = await asyncio.to_thread(_make, factory, resolved)
            self._providers.move_to_end(key)
            if len(self._providers) > MAX_PROVIDERS:
                _, oldest = self._providers.popitem(last=False)
                await oldest.aclose()
        return provider


def _make(factory: ProviderFactory, spec: ModelSpec) -> Provider:
    provider = factory(spec)
    # The price lists take most of a second to read: here, where nobody else waits.
    price(spec, local=provider.local, input_tokens=0, output_tokens=0)
    return provider
