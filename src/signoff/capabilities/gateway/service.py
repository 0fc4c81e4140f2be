"""The gateway: one way to any model. Policy, route, budget, call, validation, repair, accounting, in that order."""

from __future__ import annotations

import math
import random
import sys
from collections.abc import AsyncGenerator, Callable, Mapping, Sequence
from contextlib import AsyncExitStack, aclosing, asynccontextmanager, suppress
from typing import Any

from signoff.capabilities.gateway.accounts import Account
from signoff.capabilities.gateway.asking import (
    NOBODY,
    AnswerCache,
    Asked,
    ChatError,
    ChatResult,
    Considered,
    Limits,
    Question,
    Recorder,
)
from signoff.capabilities.gateway.budget import Budget
from signoff.capabilities.gateway.caching.replaying import replayed
from signoff.capabilities.gateway.chat import ChatEvent, ChatReply, ChatRequest, StreamEnd
from signoff.capabilities.gateway.chats.attempt import CANCELLED
from signoff.capabilities.gateway.chats.call import ChatCall
from signoff.capabilities.gateway.chats.gate import Gate
from signoff.capabilities.gateway.chats.ledger import Ledger, outcome_of
from signoff.capabilities.gateway.chats.means import Means
from signoff.capabilities.gateway.chats.needs import needs_of, needs_of_task
from signoff.capabilities.gateway.chats.streaming import ChatStream
from signoff.capabilities.gateway.completing import TaskCall, guarded
from signoff.capabilities.gateway.connected import Providers
from signoff.capabilities.gateway.embeddings import Embedding
from signoff.capabilities.gateway.failures import CallFailed, final_error
from signoff.capabilities.gateway.model import (
    MAX_CANDIDATES,
    Attempt,
    Decide,
    Embeddings,
    GatewayError,
    ModelResult,
    ModelTask,
)
from signoff.capabilities.gateway.protection import NotProtectedError, Protector
from signoff.capabilities.gateway.provider import ProviderError, ProviderFactory, TakesTurns
from signoff.capabilities.gateway.resilience.guarding import Guard
from signoff.capabilities.gateway.resilience.health import Health
from signoff.capabilities.gateway.resilience.settings import ResilienceSettings
from signoff.capabilities.gateway.routing.model import Needs
from signoff.capabilities.gateway.routing.past import Known, Past
from signoff.capabilities.gateway.routing.router import Router
from signoff.capabilities.gateway.routing.turns import Turns
from signoff.capabilities.gateway.screening.filtering import ContentFilters
from signoff.capabilities.gateway.screening.incoming import untrusted_of_chat, untrusted_of_task
from signoff.capabilities.gateway.screening.screen import Screen, knowing
from signoff.catalog.models import ModelsConfig, ModelSpec
from signoff.core.clock import Clock, SystemClock
from signoff.runtime.breakers import Breakers

EMBED_TIMEOUT_S = 120.0
"""How long one embedding call may take where the caller does not say, in seconds."""

Observe = Callable[[Attempt], None]
Signalled = Callable[[Mapping[str, Any]], None]


class Gateway:
    """Answers model tasks by the models and routes of a project.

    Args:
        factories: what makes a provider, by provider kind; all built-in kinds where not given.
        clock: for latencies.
        environment: where `${env.NAME}` is looked up; the process's where not given.
        profile: the profile of `models.yaml` to use, so that one release runs on local or vendors' models.
        protector: carries out what permits demand for personal data.
        limits: quotas and budgets of chats; none is no limit.
        cache: answers given before; none asks each time.
        recorder: keeps a record of each chat; none keeps nothing.
        settings: how long models are waited for, and how often they are asked again.
        chance: a random number from 0 to 1.
        past: how models did before this process began, and how good they were found; none knows nothing.
        filters: the deployment's content filters; a project that demands some is not served without.
        breakers: leave models that keep failing alone, for all processes; none leaves none alone.
    """

    def __init__(
        self,
        factories: Mapping[str, ProviderFactory] | None = None,
        *,
        clock: Clock | None = None,
        environment: Mapping[str, str] | None = None,
        profile: str | None = None,
        protector: Protector | None = None,
        limits: Limits | None = None,
        cache: AnswerCache | None = None,
        recorder: Recorder | None = None,
        settings: ResilienceSettings | None = None,
        chance: Callable[[], float] = random.random,
        breakers: Breakers | None = None,
        filters: ContentFilters | None = None,
        past: Past | None = None,
    ) -> None:
        from signoff.capabilities.gateway.providers import default_factories  # noqa: PLC0415  (keeps the face light)

        self._clock = clock or SystemClock()
        self._providers = Providers(default_factories() if factories is None else factories, environment)
        guard = Guard(Health(self._clock), breakers)
        known = Known(past, guard.health, self._clock)
        self._router = Router(self._providers, guard, chance=chance, profile=profile, known=known)
        self._protector = protector or Protector()
        self._cache = cache
        self._recorder = recorder
        self._means = Means(
            self._clock, chance, self._protector, settings or ResilienceSettings(), guard, limits, Screen(filters)
        )

    async def complete(
        self,
        task: ModelTask,
        config: ModelsConfig,
        *,
        decide: Decide,
        budget: Budget | None = None,
        observe: Observe | None = None,
        asked: Asked | None = None,
        signalled: Signalled | None = None,
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
            asked: on whose account; none counts in no limit and is not recorded.
            signalled: told what detectors found, whatever becomes of the task.

        Raises:
            GatewayError: kinds `model_contract`, `model_unavailable` (retryable, or not where set-up is wrong),
                `model_refused`, `model_filtered`, `model_truncated`, `context_overflow`, `breaker_open` (retryable),
                `budget`, `quota`, `forbidden`. It carries all attempts: failed ones cost tokens too.
        """
        async with self._accounted("task", asked, budget, observe, signalled) as account:
            decide = await self._scored(untrusted_of_task(task), config, account.signals, decide)
            asks = asked or Asked(NOBODY, task=task.task, prompt=task.prompt, data_labels=task.data_labels)
            turns = await self._turns(asks, config, decide, needs_of_task(task), account)
            return await TaskCall(self._means, task, asks, config, turns=turns, account=account).result(self._cache)

    async def embed(
        self,
        texts: Sequence[str],
        config: ModelsConfig,
        *,
        decide: Decide,
        budget: Budget | None = None,
        timeout_s: float = EMBED_TIMEOUT_S,
        observe: Observe | None = None,
        asked: Asked | None = None,
    ) -> Embeddings:
        """Vectors of texts by the first permitted model of the `embed` route that answers.

        There is no fallback after a model of another kind has answered before: vectors of two models do not compare,
        so whoever stores them stores `Embeddings.model` with them. Arguments are those of `complete`; `timeout_s` is
        for each call, in seconds.

        Raises:
            GatewayError: as `complete`.
        """
        async with self._accounted("embed", asked, budget, observe) as account:
            asks = asked or Asked(NOBODY, task="embed")
            turns = await self._turns(asks, config, decide, Needs(), account)
            for candidate in turns:
                name = candidate.spec.name
                try:
                    gate = Gate(self._means.screen, config.screening, candidate, account.signals)
                    shown = await self._protector.protect_texts(texts, candidate.obligations)
                    await gate.enter(shown)
                    async with guarded(self._means, asks, candidate, timeout_s, account):
                        embedding = Embedding(candidate.spec, candidate.provider, shown, timeout_s, account.payer)
                        vectors, usage = await embedding.run()
                except (NotProtectedError, CallFailed) as error:
                    turns.failed(candidate, account.failed_with(name, error))
                    continue
                account.answered(name)
                return Embeddings(vectors, name, usage, account.id)
            raise final_error("embed", turns.failures, account.attempts)

    async def explain(
        self, asked: Asked, config: ModelsConfig, *, decide: Decide, needs: Needs | None = None
    ) -> Sequence[Considered]:
        """Who would be asked, in what order, and why, and who would not: nothing is called.

        Raises:
            GatewayError: kind `model_unavailable`, reason `no_route`.
        """
        return (await self._router.routed(asked, config, decide, needs or Needs())).considered

    async def _turns(self, asked: Asked, config: ModelsConfig, decide: Decide, needs: Needs, account: Account) -> Turns:
        routed = await self._router.routed(asked, config, decide, needs)
        account.considered = routed.considered
        return Turns(routed, asked, needs, decide=decide, left_s=lambda: math.inf)

    @asynccontextmanager
    async def _accounted(
        self,
        kind: str,
        asked: Asked | None,
        budget: Budget | None,
        observe: Observe | None,
        signalled: Signalled | None = None,
    ) -> AsyncGenerator[Account]:
        """One task's account; its record is kept where it is known who asked, whatever becomes of it."""
        account = Account(self._clock, budget, observe, self._means.limits, asked)
        try:
            yield account
        except GatewayError as error:
            account.failed(error)
            raise
        finally:
            if signalled is not None and account.signals:
                signalled(account.signals)
            if self._recorder is not None and asked is not None:
                self._recorder.record(account.record(kind, asked))

    async def _scored(
        self, texts: Sequence[str], config: ModelsConfig, signals: dict[str, Any], decide: Decide
    ) -> Decide:
        """Policy's answer, which knows how much untrusted texts look like an injection."""
        found = await self._means.screen.scored(texts, config.screening.settings)
        if found is not None:
            signals["injection"] = found.as_dict()
        return knowing(decide, found)

    @asynccontextmanager
    async def turn(self, config: ModelsConfig, task: str, prompt: str | None) -> AsyncGenerator[None]:
        """Wait until the first model of a route can take a call, outside of any call's timeout.

        A model that cannot be had at all lets the caller in at once: `complete` says what is wrong.
        """
        async with AsyncExitStack() as stack:
            with suppress(ProviderError, GatewayError):
                provider = await self._providers.of(self.route(config, task, prompt)[0])
                if isinstance(provider, TakesTurns):
                    await stack.enter_async_context(provider.turn())
            yield

    async def chat(self, request: ChatRequest, asked: Asked, config: ModelsConfig, *, decide: Decide) -> ChatResult:
        """The answer of the first model of the request's route that gives one.

        Args:
            request: what is asked; its `timeout_s` bounds the whole call, tries and fallbacks included.
            asked: by whom, for what.
            config: the project's models and routes.
            decide: policy's answer on each candidate, asked again before each fallback.

        Raises:
            ChatError: nobody answered; its `kind`, `reason` and `record` say why.
        """
        ledger = Ledger(asked, "chat", self._clock, self._recorder)
        call: ChatCall | None = None
        try:
            decide = await self._scored([*asked.untrusted, *untrusted_of_chat(request)], config, ledger.signals, decide)
            needs = needs_of(request)
            routed = await self._router.routed(asked, config, decide, needs)
            ledger.considered = routed.considered
            call = self._call(request, asked, config, needs=needs, routed=routed, decide=decide, ledger=ledger)
            names = [candidate.spec.name for candidate in routed.candidates]
            cached = False
            if asked.cached and self._cache is not None and names:
                reply, cached = await self._cache.answered(asked, names, request, call.reply)
                if cached:
                    reply = await call.given_again(reply)
            else:
                reply = await call.reply()
        except GatewayError as error:
            raise ChatError(error, ledger.close(error.reason)) from None
        finally:
            if ledger.record is None and sys.exception() is not None:
                ledger.close(CANCELLED)
        record = ledger.close(outcome_of(reply), reply, call.model, cached=cached)
        return ChatResult(reply, record)

    async def stream(self, request: ChatRequest, asked: Asked, config: ModelsConfig, *, decide: Decide) -> ChatStream:
        """As `chat`, its answer as it comes: returns when the first token is there. Close it (`aclose`) to leave early.

        Raises:
            ChatError: nobody began an answer. What breaks later is told by the last event.
        """
        ledger = Ledger(asked, "stream", self._clock, self._recorder)
        stream = ChatStream(self._events(request, asked, config, decide, ledger), ledger)
        await stream.begin()
        return stream

    async def _events(
        self, request: ChatRequest, asked: Asked, config: ModelsConfig, decide: Decide, ledger: Ledger
    ) -> AsyncGenerator[ChatEvent]:
        call: ChatCall | None = None
        end: StreamEnd | None = None
        try:
            decide = await self._scored([*asked.untrusted, *untrusted_of_chat(request)], config, ledger.signals, decide)
            needs = needs_of(request)
            routed = await self._router.routed(asked, config, decide, needs)
            ledger.considered = routed.considered
            call = self._call(request, asked, config, needs=needs, routed=routed, decide=decide, ledger=ledger)
            names = [candidate.spec.name for candidate in routed.candidates]
            async with AsyncExitStack() as stack:
                question = Question()
                if asked.cached and self._cache is not None and names:
                    question = await stack.enter_async_context(self._cache.asking(asked, names, request))
                cached = question.kept is not None
                async with aclosing(_again(call, question.kept) if question.kept else call.events()) as events:
                    async for event in events:
                        if isinstance(event, StreamEnd):
                            end = event
                        else:
                            yield event
                assert end is not None
                question.answer = end.reply if end.failure is None else None
            # Told once all is settled, so that the record is whole when the caller sees the end.
            ledger.close(outcome_of(end.reply), end.reply, call.model, cached=cached)
            yield end
        except GatewayError as error:
            raise ChatError(error, ledger.close(error.reason)) from None
        finally:
            ledger.close(CANCELLED, model="" if call is None else call.model)

    def _call(self, request: ChatRequest, asked: Asked, config: ModelsConfig, **known: Any) -> ChatCall:
        return ChatCall(self._means, asked, request, screening=config.screening, **known)

    async def aclose(self) -> None:
        """Give back every connection, once what was set aside is settled."""
        await self._means.finishing.aclose()
        await self._providers.aclose()

    def route(self, config: ModelsConfig, task: str, prompt: str | None) -> tuple[ModelSpec, ...]:
        """The models that may answer, in fallback order.

        Raises:
            GatewayError: kind `model_unavailable`, no route is for that task.
        """
        route = self._router.route(task, prompt, config)
        return tuple(config.models[name] for name in route.models[:MAX_CANDIDATES])


async def _again(call: ChatCall, kept: ChatReply) -> AsyncGenerator[ChatEvent]:
    """An answer that was given before, as a stream."""
    for event in replayed(await call.given_again(kept)):
        yield event
