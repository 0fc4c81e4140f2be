"""What obligations do to a chat: its request as a model may see it, and its reply or stream with values put back."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, AsyncIterable, Callable, Collection, Sequence
from dataclasses import field, replace
from typing import Any

import orjson

from signoff.capabilities.gateway.chat import (
    ChatEvent,
    ChatMessage,
    ChatReply,
    ChatRequest,
    DocumentPart,
    ImagePart,
    Part,
    ReasoningDelta,
    ReasoningPart,
    StreamEnd,
    TextDelta,
    TextPart,
    ToolCallDelta,
    ToolCallPart,
    ToolResultPart,
    VendorPart,
)
from signoff.capabilities.gateway.model import ObligationLike
from signoff.capabilities.gateway.protection import (
    NO_VAULT,
    VAULT,
    Changing,
    NotProtectedError,
    Protector,
    TokenVault,
    of_personal_data,
    sealed_by,
)
from signoff.core.errors import SignoffError
from signoff.core.json_texts import told_by_value
from signoff.core.values import altered, value
from signoff.governance.privacy import StreamRestorer, Tokens, mapped
from signoff.governance.privacy.model import MAX_DEPTH

MaySee = Callable[[str], Collection[str]]
"""Which kinds of personal data a tool may see in the arguments that a model writes for it, by its name."""


INLINE_CHARACTERS = 4_000
"""So much is searched by patterns in less time than handing it to another thread takes."""


def sees_nothing(_tool: str) -> Collection[str]:
    """Tools get tokens, unless somebody says otherwise."""
    return ()


@value
class ProtectedChat:
    """A chat as a model may see it, and the way back.

    Attributes:
        request: with nothing in it that had to go.
        tokens: what stands for the values; none where nothing was demanded.
        may_see: what each tool may see.
    """

    request: ChatRequest
    tokens: Tokens | None = None
    may_see: MaySee = field(default=sees_nothing)

    def reply(self, reply: ChatReply) -> ChatReply:
        """With the values in its words, and in a tool's arguments those that the tool may see."""
        if self.tokens is None:
            return reply
        parts = tuple(self._restored(part) for part in reply.parts)
        return replace(reply, parts=parts, refusal=self.tokens.restored(reply.refusal))

    async def stream(self, events: AsyncIterable[ChatEvent]) -> AsyncGenerator[ChatEvent]:
        """The events with the values in them, wherever their pieces were cut. Close `events` yourself."""
        if self.tokens is None:
            async for event in events:
                yield event
            return
        words, thoughts = StreamRestorer(self.tokens), StreamRestorer(self.tokens)
        calls: dict[int, StreamRestorer] = {}
        async for event in events:
            if isinstance(event, TextDelta):
                if text := words.feed(event.text):
                    yield TextDelta(text)
            elif isinstance(event, ReasoningDelta):
                if text := thoughts.feed(event.text):
                    yield ReasoningDelta(text)
            elif isinstance(event, ToolCallDelta):
                if event.index not in calls:
                    calls[event.index] = StreamRestorer(self.tokens, self.may_see(event.name), _in_json)
                yield replace(event, arguments=calls[event.index].feed(event.arguments))
            elif isinstance(event, StreamEnd):
                for last in _held(words, thoughts, calls):
                    yield last
                yield replace(event, reply=self.reply(event.reply))
            else:
                yield event

    def _restored(self, part: Part) -> Part:
        assert self.tokens is not None
        if isinstance(part, TextPart):
            return TextPart(self.tokens.restored(part.text))
        if isinstance(part, ReasoningPart):
            return replace(part, text=self.tokens.restored(part.text))
        if isinstance(part, ToolCallPart):
            return replace(part, arguments=self.tokens.restored(part.arguments, self.may_see(part.name), _in_json))
        return part


async def protect_chat(
    protector: Protector,
    request: ChatRequest,
    obligations: Sequence[ObligationLike],
    may_see: MaySee = sees_nothing,
    vault: TokenVault | None = None,
) -> ProtectedChat:
    """A request with all obligations carried out, on every message, tool and schema of it.

    Pictures and files cannot be searched, so a request with one is refused. Thoughts that a vendor signed cannot be
    changed, so those with something to hide are left out.

    Raises:
        NotProtectedError: it has data that is blocked, or what is demanded cannot be done here.
    """
    if not of_personal_data(obligations):
        return ProtectedChat(request)
    if any(duty.kind == VAULT for duty in obligations):
        if vault is None:
            raise NotProtectedError(NO_VAULT)

        async def work(sealed: Tokens) -> tuple[ChatRequest, Changing]:
            own = protector.changing(obligations, sealed)
            return await asyncio.to_thread(_changed, request, own), own

        hidden, own = await sealed_by(vault, work)
        return ProtectedChat(hidden, own.tokens or None, may_see)
    changing = protector.changing(obligations)
    quick = protector.ready and changing.by_patterns_alone and _characters(request) <= INLINE_CHARACTERS
    changed = _changed(request, changing) if quick else await asyncio.to_thread(_changed, request, changing)
    # Without a token there is nothing to put back.
    return ProtectedChat(changed, changing.tokens or None, may_see)


def _characters(request: ChatRequest) -> int:
    """How much of it there is to search, about."""
    return sum(
        len(part.text if isinstance(part, TextPart) else str(getattr(part, "content", "")))
        for message in request.messages
        for part in message.parts
    ) + 1_000 * len(request.tools)


def _changed(request: ChatRequest, changing: Changing) -> ChatRequest:
    def change(text: str) -> str:
        changing.block(text)
        return changing.change(text)

    try:
        return altered(
            request,
            messages=tuple(
                ChatMessage(message.role, tuple(part for item in message.parts for part in _part(item, change)))
                for message in request.messages
            ),
            tools=tuple(
                replace(tool, description=change(tool.description), parameters=mapped(tool.parameters, change))
                for tool in request.tools
            ),
            output_schema=None if request.output_schema is None else mapped(request.output_schema, change),
            stop=tuple(change(text) for text in request.stop),
            vendor=mapped(request.vendor, change),
        )
    except SignoffError as error:
        raise NotProtectedError(str(error)) from None


def _part(part: Part, change: Callable[[str], str]) -> Sequence[Part]:
    if isinstance(part, TextPart):
        return (TextPart(change(part.text)),)
    if isinstance(part, ToolResultPart):
        return (replace(part, content=_json_or_text(part.content, change)),)
    if isinstance(part, ToolCallPart):
        vendor = mapped(part.vendor, change)
        return (replace(part, arguments=_json_or_text(part.arguments, change), vendor=vendor),)
    if isinstance(part, VendorPart):
        return (replace(part, data=mapped(part.data, change)),)
    if isinstance(part, ReasoningPart):
        same = change(part.text) == part.text and mapped(part.vendor, change) == part.vendor
        return (part,) if same else ()
    kind = {ImagePart: "A picture", DocumentPart: "A file"}[type(part)]
    raise NotProtectedError(f"{kind} cannot be searched for personal data, which the permit demands.")


def _json_or_text(text: str, change: Callable[[str], str]) -> str:
    """JSON is changed by its values: an escaped letter would hide a name from who reads it as text."""
    try:
        value: Any = orjson.loads(text)
    except orjson.JSONDecodeError:
        return change(text)
    changed = mapped(value, change)
    same = changed == value and told_by_value(text, value, depth=MAX_DEPTH)
    return text if same else orjson.dumps(changed).decode()


def _in_json(value: str) -> str:
    """A text as it stands inside the quotes of a JSON text."""
    return orjson.dumps(value).decode()[1:-1]


def _held(words: StreamRestorer, thoughts: StreamRestorer, calls: dict[int, StreamRestorer]) -> list[ChatEvent]:
    """What was held back, at the end."""
    last: list[ChatEvent] = []
    if text := thoughts.flush():
        last.append(ReasoningDelta(text))
    if text := words.flush():
        last.append(TextDelta(text))
    last.extend(ToolCallDelta(index, "", "", text) for index, one in calls.items() if (text := one.flush()))
    return last
