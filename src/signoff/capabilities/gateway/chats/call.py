"""One chat: its candidates one after the other, each protected and admitted anew, until one answers."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, Coroutine, Iterator, Sequence
from contextlib import aclosing
from dataclasses import replace
from typing import Any, cast

from signoff.capabilities.gateway.asking import Asked
from signoff.capabilities.gateway.calls import CallFailed, Failure
from signoff.capabilities.gateway.chat import ChatEvent, ChatReply, ChatRequest, Chats, StreamEnd
from signoff.capabilities.gateway.chat_protection import ProtectedChat, protect_chat
from signoff.capabilities.gateway.chats.attempt import OK, Attempt, attempted
from signoff.capabilities.gateway.chats.failing import failed_chat
from signoff.capabilities.gateway.chats.heard import Heard, shows
from signoff.capabilities.gateway.chats.ledger import Ledger
from signoff.capabilities.gateway.chats.means import Means
from signoff.capabilities.gateway.model import Decide, ObligationLike
from signoff.capabilities.gateway.protection import NotProtectedError
from signoff.capabilities.gateway.provider import ProviderError
from signoff.capabilities.gateway.resilience.retries import wait_s
from signoff.capabilities.gateway.resilience.timeouts import Timeouts
from signoff.capabilities.gateway.routing.model import Candidate, Routed
from signoff.capabilities.gateway.routing.permits import decided


class ChatCall:
    """One request on its way.

    Args:
        means: what all chats share.
        asked: by whom, for what.
        request: what is asked, unprotected.
        routed: who may answer.
        decide: policy's answer, asked again before each fallback.
        ledger: what is kept of it.

    Attributes:
        model: who answered, or answered last.
    """

    def __init__(
        self, means: Means, asked: Asked, request: ChatRequest, *, routed: Routed, decide: Decide, ledger: Ledger
    ) -> None:
        self._means = means
        self._asked = asked
        self._request = request
        self._routed = routed
        self._decide = decide
        self._ledger = ledger
        self._failures: list[Failure] = list(routed.failures)
        self._deadline_s = means.clock.monotonic_s() + request.timeout_s
        self.model = ""

    async def reply(self) -> ChatReply:
        """The answer of the first candidate that gives one.

        Raises:
            GatewayError: none did.
        """
        for candidate in self._turns():
            try:
                protected = await self._protected(candidate, self._request)
                found = protected.reply(await self._replied(candidate, protected.request))
            except CallFailed as failed:
                self._failures.append(failed.failure)
                continue
            self.model = self._ledger.model = candidate.spec.name
            return found
        raise failed_chat(self._asked.task, self._failures)

    async def events(self) -> AsyncGenerator[ChatEvent]:
        """The answer as it comes, from the first candidate that begins one. The last event is a `StreamEnd`.

        Raises:
            GatewayError: nobody began one.
        """
        for candidate in self._turns():
            try:
                protected = await self._protected(candidate, self._request)
                raw = self._begun(candidate, protected.request)
                async with aclosing(raw), aclosing(protected.stream(raw)) as shown:
                    async for event in shown:
                        self.model = self._ledger.model = candidate.spec.name
                        if shows(event):
                            self._ledger.first_token()
                        yield event
            except CallFailed as failed:
                self._failures.append(failed.failure)
                continue
            return
        raise failed_chat(self._asked.task, self._failures)

    def _turns(self) -> Iterator[Candidate]:
        """The candidates in their order; who may not be asked after what happened so far is left out."""
        for place, candidate in enumerate(self._routed.candidates):
            if any(failure.final for failure in self._failures):
                return
            if self._left_s() <= 0:
                self._failures.append(Failure(candidate.spec.name, "timeout", "No time was left to ask it."))
                return
            try:
                # Policy may have changed since the route was made: what it says now holds.
                duties = self._again(candidate) if place else candidate.obligations
            except CallFailed as failed:
                self._failures.append(failed.failure)
                continue
            yield replace(candidate, obligations=duties)

    def _again(self, candidate: Candidate) -> Sequence[ObligationLike]:
        return decided(candidate.spec, candidate.provider, self._asked.task, self._asked.prompt, self._decide)

    def _left_s(self) -> float:
        return self._deadline_s - self._means.clock.monotonic_s()

    async def _protected(self, candidate: Candidate, request: ChatRequest) -> ProtectedChat:
        try:
            return await protect_chat(self._means.protector, request, candidate.obligations)
        except NotProtectedError as error:
            raise CallFailed(Failure(candidate.spec.name, "forbidden", str(error))) from None

    async def _replied(self, candidate: Candidate, request: ChatRequest) -> ChatReply:
        """The model's answer, asked again where that may help."""
        chats, tries = cast("Chats", candidate.provider), 0
        while True:
            try:
                async with attempted(self._means, self._ledger, self._asked, candidate, request) as attempt:
                    attempt.reply = await self._timed(candidate, chats.chat(request))
                    attempt.outcome = OK
            except ProviderError as error:
                tries += 1
                await self._wait(candidate, error, tries)
            else:
                return attempt.reply

    async def _begun(self, candidate: Candidate, request: ChatRequest) -> AsyncGenerator[ChatEvent]:
        """The model's stream, asked for again where it failed before its first token and that may help."""
        tries = 0
        while True:
            try:
                async with (
                    attempted(self._means, self._ledger, self._asked, candidate, request) as attempt,
                    aclosing(self._streamed(candidate, request, attempt)) as events,
                ):
                    async for event in events:
                        yield event
            except ProviderError as error:
                tries += 1
                await self._wait(candidate, error, tries)
            else:
                return

    async def _streamed(
        self, candidate: Candidate, request: ChatRequest, attempt: Attempt
    ) -> AsyncGenerator[ChatEvent]:
        """One stream, held to its time limits.

        Raises:
            ProviderError: it failed before its first token.
        """
        heard, early = Heard(), list[ChatEvent]()
        stream = cast("Chats", candidate.provider).stream(request)
        try:
            async with aclosing(stream):
                while not isinstance(event := await self._next(candidate, stream, attempt), StreamEnd):
                    heard.add(event)
                    if not heard.anything:
                        # A report of usage shows nothing: the call can still be made anew.
                        early.append(event)
                        continue
                    if attempt.first_token_s is None:
                        attempt.first_token_s = self._means.clock.monotonic_s() - attempt.began_s
                    for shown in (*early, event):
                        yield shown
                    early.clear()
                end = event
        except ProviderError as error:
            end = StreamEnd(heard.reply(), error)
        finally:
            # Whoever leaves early pays for what came.
            attempt.reply = heard.reply() if heard.anything else None
        if end.failure is not None and not heard.anything:
            raise end.failure from None
        attempt.reply = end.reply
        attempt.outcome = OK if end.failure is None else end.failure.kind
        for shown in (*early, end):
            yield shown

    async def _timed(self, candidate: Candidate, call: Coroutine[Any, Any, ChatReply]) -> ChatReply:
        most_s = min(Timeouts.of(candidate.spec, self._means.settings).total_s, self._left_s())
        try:
            async with asyncio.timeout(max(most_s, 0.0)):
                return await call
        except TimeoutError:
            raise ProviderError("timeout", f"No answer in {most_s:g} s.") from None

    async def _wait(self, candidate: Candidate, error: ProviderError, tries: int) -> None:
        """Return when the model is to be asked again.

        Raises:
            CallFailed: it is not to be.
        """
        means = self._means
        again_s = wait_s(error, tries, self._left_s(), means.settings, means.chance)
        if again_s is None:
            raise CallFailed(Failure(candidate.spec.name, error.kind, error.detail, error.retry_after_s)) from None
        await means.clock.sleep(again_s)

    async def _next(self, candidate: Candidate, stream: AsyncGenerator[ChatEvent], attempt: Attempt) -> ChatEvent:
        limits = Timeouts.of(candidate.spec, self._means.settings)
        silent_s = limits.first_token_s if attempt.first_token_s is None else limits.between_tokens_s
        took_s = self._means.clock.monotonic_s() - attempt.began_s
        most_s = min(silent_s, limits.total_s - took_s, self._left_s())
        try:
            async with asyncio.timeout(max(most_s, 0.0)):
                return await anext(stream)
        except TimeoutError:
            raise ProviderError("timeout", f"Nothing came for {most_s:g} s.") from None
        except StopAsyncIteration:
            raise ProviderError("unavailable", "The stream ended without its end.") from None
