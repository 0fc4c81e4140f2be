"""What tests of chats share: a provider that streams what a test scripts, a caller, a project of such models."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, Iterable, Mapping, Sequence
from typing import Any
from uuid import UUID

from signoff.capabilities.gateway import Gateway, ProviderError
from signoff.capabilities.gateway.asking import Asked, Caller
from signoff.capabilities.gateway.chat import (
    ChatEvent,
    ChatMessage,
    ChatReply,
    ChatRequest,
    ChatUsage,
    StreamEnd,
    TextDelta,
    TextPart,
)
from signoff.catalog.models import ModelsConfig, ModelSpec, Route
from signoff.testing import ScriptedProvider

CALLER = Caller(UUID(int=1), "shop", "dev", "r1", "key/k1", team="support")
ASKED = Asked(CALLER)
USAGE = ChatUsage(10, 5, reported=True)
HELLO = ChatRequest((ChatMessage("user", (TextPart("Hello?"),)),), max_output_tokens=50, timeout_s=30.0)

Said = str | ChatReply | ProviderError | Sequence[ChatEvent | ProviderError | asyncio.Event]
"""One answer: words, a reply, a failure; or a stream's events, a failure to break off with, an event to wait for."""


class ScriptedChat(ScriptedProvider):
    """Chats by a script, one answer per call; the last is repeated.

    Attributes:
        chats: every request, in order.
        closed: how many streams were ended or left.
        asked: set by the first request.
    """

    def __init__(self, says: Iterable[Said] = ("Hello.",), *, local: bool = False, name: str = "scripted") -> None:
        super().__init__(local=local, name=name)
        self._says = list(says)
        self.chats: list[ChatRequest] = []
        self.closed = 0
        self.asked = asyncio.Event()

    def factory(self, spec: ModelSpec) -> ScriptedChat:
        return self

    def _next(self, request: ChatRequest) -> Said:
        self.chats.append(request)
        self.asked.set()
        return self._says[min(len(self.chats), len(self._says)) - 1]

    async def chat(self, request: ChatRequest) -> ChatReply:
        said = self._next(request)
        if isinstance(said, ProviderError):
            raise said
        if isinstance(said, ChatReply):
            return said
        if isinstance(said, str):
            return ChatReply((TextPart(said),), "stop", usage=USAGE)
        end = await self._played(said, [])
        return end.reply

    async def stream(self, request: ChatRequest) -> AsyncGenerator[ChatEvent]:
        said = self._next(request)
        try:
            if isinstance(said, ProviderError):
                raise said
            if isinstance(said, ChatReply):
                said = [TextDelta(said.text), StreamEnd(said)] if said.text else [StreamEnd(said)]
            if isinstance(said, str):
                words = [TextDelta(word) for word in said.split(" ")]
                spaced = [TextDelta(f"{word.text} ") for word in words[:-1]] + words[-1:]
                said = [*spaced, StreamEnd(ChatReply((TextPart(said),), "stop", usage=USAGE))]
            text = ""
            for event in said:
                if isinstance(event, asyncio.Event):
                    await event.wait()
                elif isinstance(event, ProviderError):
                    yield StreamEnd(ChatReply((TextPart(text),), "incomplete"), event)
                else:
                    text += event.text if isinstance(event, TextDelta) else ""
                    yield event
        finally:
            self.closed += 1

    async def _played(self, said: Sequence[Any], _: list[Any]) -> StreamEnd:
        for event in said:
            if isinstance(event, asyncio.Event):
                await event.wait()
            elif isinstance(event, ProviderError):
                raise event
            elif isinstance(event, StreamEnd):
                return event
        raise ProviderError("unavailable", "The script has no end.")


def models(
    settings: Any = None,
    route: Any = None,
    gateway: Any = None,
    **chats: ScriptedProvider,
) -> tuple[Gateway, ModelsConfig]:
    """A gateway and a project of these models, in fallback order, their settings and the gateway's arguments."""
    own: Mapping[str, Mapping[str, Any]] = settings or {}
    specs = {name: ModelSpec(name, name, {"model": name, **own.get(name, {})}) for name in chats}
    arguments: dict[str, Any] = gateway or {}
    used = Gateway({name: chat.factory for name, chat in chats.items()}, environment={}, **arguments)
    return used, ModelsConfig(specs, (route or Route(tuple(chats), task="chat"),))
