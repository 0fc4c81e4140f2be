"""An answer held to its request, whatever its vendor does: no tool that was not offered, no more than was allowed."""

from __future__ import annotations

from collections.abc import AsyncGenerator, Mapping, Sequence
from contextlib import aclosing
from dataclasses import replace
from typing import Any

from signoff.capabilities.gateway.chat import (
    ChatEvent,
    ChatFinish,
    ChatReply,
    ChatRequest,
    OnlyTool,
    Part,
    ReasoningDelta,
    ReasoningPart,
    StreamEnd,
    TextDelta,
    TextPart,
    ToolCallDelta,
    ToolCallPart,
)
from signoff.capabilities.gateway.chats.heard import Heard
from signoff.capabilities.gateway.provider import ProviderError

MOST_CHARACTERS_PER_TOKEN = 20
"""On average over an answer: English words have 5 with their space, and no vendor's tokens come near this in text."""
SPARE_CHARACTERS = 200
"""Beside that: single tokens may be long runs of one sign."""


def most_characters(max_output_tokens: int | None) -> int | None:
    """How long an answer of so many tokens can be; none where it has no limit."""
    if max_output_tokens is None:
        return None
    return max_output_tokens * MOST_CHARACTERS_PER_TOKEN + SPARE_CHARACTERS


def held_to(request: ChatRequest, reply: ChatReply) -> ChatReply:
    """A whole answer, cut where the request says that it ends.

    Raises:
        ProviderError: kind `contract`, it calls a tool that was not offered.
    """
    for call in reply.tool_calls:
        require_offered(request, call.name)
    left, stops = most_characters(request.max_output_tokens), (*request.stop, *request.held_stop)
    parts: list[Part] = []
    for part in reply.parts:
        kept, ended = _kept(part, stops, left)
        parts.append(kept)
        if ended is not None:
            return _cut(replace(reply, parts=tuple(parts), finish_reason=ended))
        if left is not None:
            left -= _size(part)
    return reply


async def stream_held_to(request: ChatRequest, events: AsyncGenerator[ChatEvent]) -> AsyncGenerator[ChatEvent]:
    """A streamed answer, ended where the request says so; then the vendor's stream ends too.

    Raises:
        ProviderError: as `held_to`, before the call is shown.
    """
    words = _Words((*request.stop, *request.held_stop))
    most, size, heard = most_characters(request.max_output_tokens), 0, Heard()
    async with aclosing(events):
        async for event in events:
            if isinstance(event, TextDelta):
                size += len(event.text)
                text = words.feed(event.text)
                shown: ChatEvent = event if text == event.text else TextDelta(text)
            else:
                if isinstance(event, ToolCallDelta):
                    size += len(event.arguments)
                    if event.name:
                        require_offered(request, event.name)
                elif isinstance(event, ReasoningDelta):
                    size += len(event.text)
                elif isinstance(event, StreamEnd):
                    event = replace(event, reply=held_to(request, event.reply))  # noqa: PLW2901  (the same event, bounded)
                if isinstance(event, ToolCallDelta | StreamEnd) and (rest := words.flush()):
                    heard.add(TextDelta(rest))
                    yield TextDelta(rest)
                shown = event
            if not isinstance(shown, TextDelta) or shown.text:
                heard.add(shown)
                yield shown
            over = most is not None and size > most
            if (words.stopped or over) and not isinstance(event, StreamEnd):
                finish: ChatFinish = "stop" if words.stopped else "length"
                yield StreamEnd(replace(heard.reply(), finish_reason=finish))
                return


def require_offered(request: ChatRequest, name: str) -> None:
    """Return only where a tool may be called.

    Raises:
        ProviderError: it was not offered, or another one was asked for.
    """
    choice = request.tool_choice
    if isinstance(choice, OnlyTool):
        offered = {choice.name}
    else:
        offered = set[str]() if choice == "none" else {tool.name for tool in request.tools}
    if name not in offered:
        raise ProviderError("contract", "It called a tool that it was not offered.")


def _cut(reply: ChatReply) -> ChatReply:
    """Without the tokens of what was cut off: they are its words."""
    kept: list[Mapping[str, Any]] = []
    left = len(reply.text)
    for token in reply.logprobs:
        left -= len(str(token.get("token", "")))
        if left < 0:
            break
        kept.append(token)
    return replace(reply, logprobs=tuple(kept))


def _kept(part: Part, stops: Sequence[str], left: int | None) -> tuple[Part, ChatFinish | None]:
    """What of a part is within the bounds, and why it ends there; none where all of it is."""
    if isinstance(part, TextPart):
        places = [place for place in (part.text.find(stop) for stop in stops if stop) if place >= 0]
        at = min(places, default=None)
        if at is not None and (left is None or at <= left):
            return TextPart(part.text[:at]), "stop"
        if left is not None and len(part.text) > left:
            return TextPart(part.text[:left]), "length"
    elif left is not None and _size(part) > left:
        if isinstance(part, ToolCallPart):
            return replace(part, arguments=part.arguments[:left]), "length"
        if isinstance(part, ReasoningPart):
            return ReasoningPart(part.text[:left]), "length"
    return part, None


def _size(part: Part) -> int:
    if isinstance(part, TextPart | ReasoningPart):
        return len(part.text)
    return len(part.arguments) if isinstance(part, ToolCallPart) else 0


class _Words:
    """Words as they come, up to a text at which they stop: what may be its beginning waits for more."""

    def __init__(self, stops: Sequence[str]) -> None:
        self._stops = tuple(stop for stop in stops if stop)
        self._longest = max(map(len, self._stops), default=0)
        self._held = ""
        self.stopped = False

    def feed(self, piece: str) -> str:
        """What can be shown after another piece."""
        if not self._stops:
            return piece
        text = self._held + piece
        places = [place for place in (text.find(stop) for stop in self._stops) if place >= 0]
        if places:
            self.stopped, self._held = True, ""
            return text[: min(places)]
        begun = (
            length
            for length in range(min(self._longest - 1, len(text)), 0, -1)
            if any(stop.startswith(text[-length:]) for stop in self._stops)
        )
        cut = len(text) - next(begun, 0)
        self._held = text[cut:]
        return text[:cut]

    def flush(self) -> str:
        """What waited, at the end."""
        held, self._held = self._held, ""
        return held
