"""One chat: its candidates one after the other, each protected and admitted anew, until one answers."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, Coroutine
from contextlib import AbstractAsyncContextManager, aclosing
from dataclasses import replace
from typing import Any, cast

from signoff.capabilities.gateway.asking import Asked
from signoff.capabilities.gateway.bounds import bounded_chat, bounds_of, note
from signoff.capabilities.gateway.chat import (
    ChatEvent,
    ChatReply,
    ChatRequest,
    Chats,
    StreamEnd,
    TextDelta,
    ToolCallDelta,
    UsageReport,
)
from signoff.capabilities.gateway.chat_protection import ProtectedChat, protect_chat
from signoff.capabilities.gateway.chats.attempt import OK, Attempt, attempted
from signoff.capabilities.gateway.chats.bounding import held_to, stream_held_to
from signoff.capabilities.gateway.chats.failing import failed_chat
from signoff.capabilities.gateway.chats.gate import Gate, shown
from signoff.capabilities.gateway.chats.heard import Heard, shows
from signoff.capabilities.gateway.chats.ledger import Ledger
from signoff.capabilities.gateway.chats.means import Means
from signoff.capabilities.gateway.failures import CallFailed, Failure
from signoff.capabilities.gateway.model import Decide
from signoff.capabilities.gateway.protection import NotProtectedError
from signoff.capabilities.gateway.provider import ProviderError
from signoff.capabilities.gateway.resilience.joining import Joint, continued
from signoff.capabilities.gateway.resilience.retries import wait_s
from signoff.capabilities.gateway.resilience.timeouts import Timeouts
from signoff.capabilities.gateway.revealing import may_see_of
from signoff.capabilities.gateway.routing.model import Candidate, Needs, Routed
from signoff.capabilities.gateway.routing.turns import Turns
from signoff.capabilities.gateway.screening.marking import marked
from signoff.catalog.screening import Screening


class BrokenOff(Exception):  # noqa: N818  (never leaves the gateway; another model goes on)
    """A stream broke after its first token, and its answer may be continued by another model."""

    def __init__(self, end: StreamEnd) -> None:
        super().__init__()
        self.end = end


class ChatCall:
    """One request on its way.

    Args:
        means: what all chats share.
        asked: by whom, for what.
        request: what is asked, unprotected.
        needs: what it needs.
        routed: who may answer.
        decide: policy's answer, asked again before each fallback.
        ledger: what is kept of it.
        screening: what the project has its calls looked at for.

    Attributes:
        model: who answered, or answered last.
    """

    def __init__(
        self,
        means: Means,
        asked: Asked,
        request: ChatRequest,
        *,
        needs: Needs,
        routed: Routed,
        decide: Decide,
        ledger: Ledger,
        screening: Screening,
    ) -> None:
        self._means = means
        self._screening = screening
        self._asked = asked
        self._request = request
        self._ledger = ledger
        clock, deadline_s = means.clock, means.clock.monotonic_s() + request.timeout_s

        def left_s() -> float:
            return deadline_s - clock.monotonic_s()

        # No method of this call: it would keep call and request in a cycle until the collector comes.
        self._left_s = left_s
        self._turns = Turns(routed, asked, needs, decide=decide, left_s=left_s)
        # Half a text of JSON that another model goes on with is nobody's answer to the schema.
        self._continues = asked.continues and request.output_schema is None
        self.model = ""

    async def reply(self) -> ChatReply:
        """The answer of the first candidate that gives one.

        Raises:
            GatewayError: none did.
        """
        for candidate in self._turns:
            try:
                gate, protected = await self._protected(candidate, self._request)
                found = await gate.left(protected.reply(await self._replied(candidate, protected.request)))
            except CallFailed as failed:
                self._turns.failed(candidate, failed.failure)
                continue
            self.model = candidate.spec.name
            return found
        raise failed_chat(self._asked.task, self._turns.failures)

    async def given_again(self, reply: ChatReply) -> ChatReply:
        """An answer that was given before, as it may be given now: permits may have changed since.

        Raises:
            GatewayError: the first candidate's permit does not let the question in, or the answer out.
        """
        for candidate in self._turns:
            try:
                gate, protected = await self._protected(candidate, self._request)
                found = await gate.left(held_to(protected.request, reply))
            except CallFailed as failed:
                raise failed_chat(self._asked.task, [failed.failure]) from None
            except ProviderError as error:
                failure = Failure(candidate.spec.name, error.kind, error.detail)
                raise failed_chat(self._asked.task, [failure]) from None
            self.model = candidate.spec.name
            return found
        raise failed_chat(self._asked.task, self._turns.failures)

    async def events(self) -> AsyncGenerator[ChatEvent]:
        """The answer as it comes, from the first candidate that begins one. The last event is a `StreamEnd`.

        Raises:
            GatewayError: nobody began one.
        """
        said, broken = Heard(), None
        for candidate in self._turns:
            try:
                async with aclosing(self._told(candidate, said, again=broken is not None)) as events:
                    async for event in events:
                        self.model = candidate.spec.name
                        if not isinstance(event, UsageReport):  # what broke off is counted where it broke
                            said.add(event)
                        if shows(event):
                            self._ledger.first_token()
                        yield event
            except CallFailed as failed:
                self._turns.failed(candidate, failed.failure)
            except BrokenOff as broke:
                broken = broke.end
                said.more(broken.reply.usage)
                error = broken.failure or ProviderError("unavailable", "The stream broke off.")
                self._turns.failed(candidate, Failure(candidate.spec.name, error.kind, error.detail))
            else:
                return
        if broken is None:
            raise failed_chat(self._asked.task, self._turns.failures)
        yield StreamEnd(said.reply(), broken.failure)

    async def _told(self, candidate: Candidate, said: Heard, *, again: bool) -> AsyncGenerator[ChatEvent]:
        """What one candidate adds to what was said before, for the caller's eyes."""
        joint = Joint(said.text)
        request = continued(self._request, said.text) if said.text else self._request
        gate, protected = await self._protected(candidate, request)
        raw = self._begun(candidate, protected.request)
        passed = gate.stream(protected.stream(raw))
        async with aclosing(raw), aclosing(passed):
            async for event in passed:
                if isinstance(event, TextDelta):
                    if new := joint.feed(event.text):
                        yield replace(event, text=new)
                    continue
                if (isinstance(event, ToolCallDelta | StreamEnd)) and (held := joint.flush()):
                    yield TextDelta(held)
                if isinstance(event, StreamEnd) and again:
                    # Read after the last words were told: `said` has them by now.
                    yield replace(event, reply=said.whole(event.reply))
                elif isinstance(event, UsageReport):
                    yield UsageReport(said.counted(event.usage))
                else:
                    yield event

    async def _protected(self, candidate: Candidate, request: ChatRequest) -> tuple[Gate, ProtectedChat]:
        try:
            gate = Gate(self._means.screen, self._screening, candidate, self._ledger.signals)
            bounds = bounds_of(candidate.obligations)
            note(bounds, self._ledger.signals)
            protected = await protect_chat(
                self._means.protector,
                bounded_chat(request, bounds),
                candidate.obligations,
                may_see_of(candidate.obligations),
                self._asked.vault,
            )
        except NotProtectedError as error:
            raise CallFailed(Failure(candidate.spec.name, "forbidden", str(error))) from None
        await gate.enter(shown(protected.request))
        request = marked(protected.request, candidate.obligations)
        return gate, protected if request is protected.request else replace(protected, request=request)

    async def _replied(self, candidate: Candidate, request: ChatRequest) -> ChatReply:
        """The model's answer, asked again where that may help."""
        chats, tries = cast("Chats", candidate.provider), 0
        while True:
            try:
                async with self._attempted(candidate, request) as attempt:
                    attempt.reply = await self._timed(candidate, chats.chat(request))
                    attempt.reply = held_to(request, attempt.reply)
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
                    self._attempted(candidate, request) as attempt,
                    aclosing(self._streamed(candidate, request, attempt)) as events,
                ):
                    async for event in events:
                        yield event
            except ProviderError as error:
                tries += 1
                await self._wait(candidate, error, tries)
            else:
                return

    def _attempted(self, candidate: Candidate, request: ChatRequest) -> AbstractAsyncContextManager[Attempt]:
        most_s = min(Timeouts.of(candidate.spec, self._means.settings).total_s, self._left_s())
        return attempted(self._means, self._ledger, self._asked, candidate, request, timeout_s=most_s)

    async def _streamed(
        self, candidate: Candidate, request: ChatRequest, attempt: Attempt
    ) -> AsyncGenerator[ChatEvent]:
        """One stream, held to its time limits.

        Raises:
            ProviderError: it failed before its first token.
        """
        heard, early = Heard(), list[ChatEvent]()
        limits = Timeouts.of(candidate.spec, self._means.settings)
        stream = stream_held_to(request, cast("Chats", candidate.provider).stream(request))
        try:
            async with aclosing(stream):
                while not isinstance(event := await self._next(limits, stream, attempt), StreamEnd):
                    heard.add(event)
                    if not heard.anything:
                        # A report of usage shows nothing: the call can still be made anew.
                        early.append(event)
                        continue
                    if attempt.first_token_s is None:
                        attempt.first_token_s = self._means.clock.monotonic_s() - attempt.began_s
                    for one in (*early, event):
                        yield one
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
        if end.failure is not None and self._continues and not heard.calls_tools:
            raise BrokenOff(end)
        for one in (*early, end):
            yield one

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

    async def _next(self, limits: Timeouts, stream: AsyncGenerator[ChatEvent], attempt: Attempt) -> ChatEvent:
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
