"""A stream that nobody sees before its end, where a permit demands a look at the whole."""

from __future__ import annotations

from collections.abc import AsyncGenerator, AsyncIterable, Awaitable, Callable

from signoff.capabilities.gateway.chat import ChatEvent, ChatReply, StreamEnd
from signoff.capabilities.gateway.chats.heard import Heard


async def held_until_checked(
    events: AsyncIterable[ChatEvent], check: Callable[[ChatReply], Awaitable[None]]
) -> AsyncGenerator[ChatEvent]:
    """The events, none of them before the whole answer was looked at: a link is told by its last letters.

    Args:
        events: of one answer; close them yourself.
        check: raises where the answer may not be seen.
    """
    waiting: list[ChatEvent] = []
    heard = Heard()
    async for event in events:
        waiting.append(event)
        if isinstance(event, StreamEnd):
            # Both: a reply need not repeat what its pieces said, and what is shown are the pieces.
            await check(event.reply)
            await check(heard.reply())
        else:
            heard.add(event)
    for event in waiting:
        yield event
