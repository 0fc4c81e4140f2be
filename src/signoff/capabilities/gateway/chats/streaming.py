"""A chat's stream as its caller has it: events, at the end the record."""

from __future__ import annotations

from collections.abc import AsyncGenerator, Sequence
from typing import Self
from uuid import UUID

from signoff.capabilities.gateway.asking import CallRecord, Considered
from signoff.capabilities.gateway.chat import ChatEvent
from signoff.capabilities.gateway.chats.ledger import Ledger


class ChatStream:
    """The events of one answer; the last is a `StreamEnd`. To leave early `aclose` it: the vendor's stream ends too."""

    def __init__(self, events: AsyncGenerator[ChatEvent], ledger: Ledger) -> None:
        self._events = events
        self._ledger = ledger
        self._first: ChatEvent | None = None

    async def begin(self) -> None:
        """Return when the first event is there.

        Raises:
            ChatError: there will be none.
        """
        self._first = await anext(self._events)

    @property
    def id(self) -> UUID:
        """The call's, under which its record will be found."""
        return self._ledger.id

    @property
    def model(self) -> str:
        """Who answers, by the name in `models.yaml`; of an answer that goes on elsewhere, who does now."""
        return self._ledger.model

    @property
    def considered(self) -> Sequence[Considered]:
        """Who might have answered, and why."""
        return self._ledger.considered

    @property
    def record(self) -> CallRecord | None:
        """What is kept of the call; none before its end."""
        return self._ledger.record

    def __aiter__(self) -> Self:
        return self

    async def __anext__(self) -> ChatEvent:
        if self._first is not None:
            first, self._first = self._first, None
            return first
        return await anext(self._events)

    async def aclose(self) -> None:
        """End it, also at the vendor, and settle what it came to."""
        await self._events.aclose()
