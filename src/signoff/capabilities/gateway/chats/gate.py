"""What a request passes before one candidate is shown it, and what its answer passes before anybody sees it."""

from __future__ import annotations

from collections import deque
from collections.abc import AsyncGenerator, AsyncIterable, Iterable, Iterator, Sequence
from contextlib import aclosing
from dataclasses import replace
from typing import Any

from signoff.capabilities.gateway.chat import (
    ChatEvent,
    ChatReply,
    ChatRequest,
    DocumentPart,
    ReasoningDelta,
    ReasoningPart,
    StreamEnd,
    TextDelta,
    TextPart,
    ToolCallDelta,
    ToolCallPart,
    ToolResultPart,
)
from signoff.capabilities.gateway.chats.heard import Heard
from signoff.capabilities.gateway.failures import CallFailed, Failure
from signoff.capabilities.gateway.routing.model import Candidate
from signoff.capabilities.gateway.screening.containing import containment_of
from signoff.capabilities.gateway.screening.filtering import Filtered, Side, filtering_of
from signoff.capabilities.gateway.screening.incoming import all_texts, texts_of_json
from signoff.capabilities.gateway.screening.screen import Screen, leaving
from signoff.catalog.screening import Screening


class Gate:
    """Of one candidate, by its own permit and the project's filters.

    Args:
        screen: looks.
        screening: what the project has its calls looked at for.
        candidate: who is asked.
        signals: where what is found is noted.

    Raises:
        NotProtectedError: its permit demands what cannot be done.
    """

    def __init__(self, screen: Screen, screening: Screening, candidate: Candidate, signals: dict[str, Any]) -> None:
        self._screen = screen
        self._settings = screening.settings
        self._model = candidate.spec.name
        self._signals = signals
        self._containment = containment_of(candidate.obligations)
        self._filtering = filtering_of(screening, candidate.obligations)

    async def enter(self, texts: Iterable[str]) -> None:
        """Return where the model may be shown these texts; they are not made where nothing looks at them.

        Raises:
            CallFailed: kind `content_filter`, a filter lets them not pass.
        """
        if not self._filtering.before:
            return
        found = await self._screen.filtered(self._model, self._filtering.before, texts, "in")
        self._note(found, "in")
        if found.blocked:
            raise CallFailed(Failure(self._model, "content_filter", blocked(found.blocked, "in")))

    async def left(self, reply: ChatReply) -> ChatReply:
        """The answer as it may be seen: as it is, or withheld by a filter.

        Raises:
            CallFailed: the permit's `@contain` does not let it leave.
        """
        texts = leaving(reply)
        await self._look(texts)
        return withheld(reply) if await self._blocked(texts) else reply

    async def leave(self, texts: Sequence[str]) -> None:
        """Return where these texts of an answer may be seen.

        Raises:
            CallFailed: kind `content_filter`, they may not.
        """
        await self._look(texts)
        if blocking := await self._blocked(texts):
            raise CallFailed(Failure(self._model, "content_filter", blocked(blocking, "out")))

    async def _look(self, texts: Sequence[str]) -> None:
        found = await self._screen.left(self._model, texts, self._containment, self._settings)
        if found:
            self._signals["outgoing"] = found

    async def stream(self, events: AsyncIterable[ChatEvent]) -> AsyncGenerator[ChatEvent]:
        """The events as they may be seen; what a filter lets not pass ends as withheld. Close `events` yourself."""
        containing = self._containment is not None
        if containing or self._filtering.withholds:
            window = 0 if containing else self._settings.held_characters
            async with aclosing(self._held(events, window)) as held:
                async for event in held:
                    yield event
            return
        async for event in events:
            if isinstance(event, StreamEnd):
                event = replace(event, reply=await self.left(event.reply))  # noqa: PLW2901  (the same, looked at)
            yield event

    async def _held(self, events: AsyncIterable[ChatEvent], window: int) -> AsyncGenerator[ChatEvent]:
        """Each event once it was looked at with so many characters more; without a window all of them at the end.

        A link is told by its last letters, so `@contain` has no window.
        """
        heard, seen = Heard(), Heard()
        waiting: deque[ChatEvent] = deque()
        size = unread = 0
        async for event in events:
            if isinstance(event, StreamEnd):
                # Both: a reply need not repeat what its pieces said, and what is shown are the pieces.
                said = heard.reply()
                if await self.left(event.reply) is not event.reply or await self.left(said) is not said:
                    yield replace(event, reply=withheld(event.reply, seen))
                    return
                while waiting:
                    yield waiting.popleft()
                yield event
                return
            heard.add(event)
            waiting.append(event)
            size, unread = size + _size(event), unread + _size(event)
            if not window or unread < window or size <= window:
                continue
            unread = 0
            if await self._blocked(leaving(_whole_words(heard.reply()))):
                yield StreamEnd(withheld(heard.reply(), seen))
                return
            while waiting and size - _size(waiting[0]) >= window:
                first = waiting.popleft()
                size -= _size(first)
                seen.add(first)
                yield first

    async def _blocked(self, texts: Sequence[str]) -> Sequence[str]:
        """The filters that let an answer not pass."""
        if not self._filtering.after:
            return ()
        found = await self._screen.filtered(self._model, self._filtering.after, texts, "out")
        self._note(found, "out")
        return found.blocked

    def _note(self, found: Filtered, side: Side) -> None:
        """Note what filters found, instead of what they found of less, or of what another candidate was shown."""
        others = [one for one in self._signals.get("filters", ()) if one["at"] != side]
        if others or found.signals:
            self._signals["filters"] = [*others, *found.signals]
        else:
            self._signals.pop("filters", None)


def blocked(filters: Sequence[str], side: Side) -> str:
    """What to say of texts that may not pass: names of filters, no word of the texts."""
    what = "what it would be shown" if side == "in" else "its answer"
    return f"A content filter ({', '.join(filters)}) blocks {what}."


def withheld(reply: ChatReply, seen: Heard | None = None) -> ChatReply:
    """An answer that nobody may see, but for what was shown of it before that was known."""
    parts = () if seen is None else seen.reply().parts
    return replace(
        reply, parts=parts, refusal="", logprobs=(), finish_reason="content_filter", vendor_finish="content_filter"
    )


def shown(request: ChatRequest) -> Iterator[str]:
    """Every text of it: a filter that looks for secrets looks for the program's own too, and for those of its tools."""
    for message in request.messages:
        for part in message.parts:
            if isinstance(part, TextPart | ReasoningPart):
                yield part.text
            elif isinstance(part, ToolCallPart):
                yield texts_of_json(part.arguments)
            elif isinstance(part, ToolResultPart):
                yield texts_of_json(part.content)
            elif isinstance(part, DocumentPart) and part.data is not None and part.media_type.startswith("text/"):
                yield part.data.decode("utf-8", "replace")
    for tool in request.tools:
        yield tool.description
        yield all_texts(tool.parameters)
    if request.output_schema is not None:
        yield all_texts(request.output_schema)
    yield from request.stop
    if request.vendor:
        yield all_texts(request.vendor)


def _size(event: ChatEvent) -> int:
    if isinstance(event, TextDelta | ReasoningDelta):
        return len(event.text)
    return len(event.arguments) if isinstance(event, ToolCallDelta) else 0


def _whole_words(reply: ChatReply) -> ChatReply:
    """Without a last word that may go on: half a word is another word."""
    parts = list(reply.parts)
    if parts and isinstance(last := parts[-1], TextPart):
        cut = max(last.text.rfind(sign) for sign in " \n\t")
        parts[-1] = TextPart(last.text[: cut + 1])
    return replace(reply, parts=tuple(parts))
