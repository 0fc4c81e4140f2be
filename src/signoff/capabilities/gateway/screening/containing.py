"""What a permit's `@contain("docs.example.com, canary:Kestrel-7391")` demands of an answer before anybody sees it."""

from __future__ import annotations

from collections.abc import AsyncGenerator, AsyncIterable, Awaitable, Callable, Sequence
from dataclasses import dataclass

from signoff.capabilities.gateway.chat import ChatEvent, ChatReply, StreamEnd
from signoff.capabilities.gateway.chats.heard import Heard
from signoff.capabilities.gateway.model import ObligationLike
from signoff.capabilities.gateway.protection import NotProtectedError
from signoff.governance.injection.canaries import MIN_CANARY_CHARACTERS

CONTAIN = "contain"
"""The obligation's name."""
_CANARY = "canary:"


@dataclass(frozen=True, slots=True)
class Containment:
    """Where an answer may lead.

    Attributes:
        hosts: that its addresses may name; `*.example.org` is what is below `example.org`.
        canaries: marks that no honest answer has.
    """

    hosts: frozenset[str]
    canaries: frozenset[str]


def containment_of(obligations: Sequence[ObligationLike]) -> Containment | None:
    """What all of them together demand; none where none does. A host is known only if each of them knows it.

    Raises:
        NotProtectedError: a canary is too short to be told from ordinary words.
    """
    hosts: frozenset[str] | None = None
    canaries: set[str] = set()
    for duty in obligations:
        if duty.kind != CONTAIN:
            continue
        words = [word.strip() for word in duty.value.split(",") if word.strip()]
        own = frozenset(word.lower() for word in words if not word.startswith(_CANARY))
        canaries |= {word.removeprefix(_CANARY) for word in words if word.startswith(_CANARY)}
        hosts = own if hosts is None else hosts & own
    if hosts is None:
        return None
    if any(len(canary) < MIN_CANARY_CHARACTERS for canary in canaries):
        raise NotProtectedError(f"A canary of @contain has fewer than {MIN_CANARY_CHARACTERS} characters.")
    return Containment(hosts, frozenset(canaries))


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
