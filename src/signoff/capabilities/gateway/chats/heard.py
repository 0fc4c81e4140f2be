"""What came of a stream so far: the reply that it would be if nothing more came."""

from __future__ import annotations

from dataclasses import fields, replace

from signoff.capabilities.gateway.chat import (
    ChatEvent,
    ChatReply,
    ChatUsage,
    Part,
    ReasoningDelta,
    ReasoningPart,
    TextDelta,
    TextPart,
    ToolCallDelta,
    ToolCallPart,
    UsageReport,
)


class _Call:
    """A call of a tool as far as it came; its pieces are joined when somebody asks, not with each piece."""

    __slots__ = ("arguments", "id", "name")

    def __init__(self) -> None:
        self.id = self.name = ""
        self.arguments: list[str] = []


class Heard:
    """Collects the events of one stream."""

    def __init__(self) -> None:
        self._words: list[str] = []
        self._thoughts: list[str] = []
        self._calls: dict[int, _Call] = {}
        self._usage = ChatUsage()
        self._before = ChatUsage()

    def add(self, event: ChatEvent) -> None:
        """One event more."""
        if isinstance(event, TextDelta):
            self._words.append(event.text)
        elif isinstance(event, ReasoningDelta):
            self._thoughts.append(event.text)
        elif isinstance(event, UsageReport):
            self._usage = event.usage
        elif isinstance(event, ToolCallDelta):
            call = self._calls.setdefault(event.index, _Call())
            call.id, call.name = call.id or event.id, call.name or event.name
            call.arguments.append(event.arguments)

    @property
    def text(self) -> str:
        """The words so far."""
        return "".join(self._words)

    @property
    def calls_tools(self) -> bool:
        """Whether a call of a tool has begun."""
        return bool(self._calls)

    @property
    def anything(self) -> bool:
        """Whether there is anything to show."""
        return bool(self._words or self._thoughts or self._calls)

    def more(self, usage: ChatUsage) -> None:
        """What was asked on the way to the same answer, and came to so much."""
        self._before, self._usage = self.counted(usage), ChatUsage()

    def counted(self, usage: ChatUsage) -> ChatUsage:
        """Tokens, with those of what was asked on the way."""
        return added(self._before, usage)

    def whole(self, rest: ChatReply) -> ChatReply:
        """The reply to all that came, which ended as its last part did."""
        parts = [part for part in rest.parts if not isinstance(part, TextPart | ReasoningPart)]
        mine = [part for part in self.reply().parts if not isinstance(part, ToolCallPart)]
        return replace(rest, parts=(*mine, *parts), usage=self.counted(rest.usage), logprobs=())

    def reply(self) -> ChatReply:
        """What came, as an incomplete reply."""
        thoughts = "".join(self._thoughts)
        parts: list[Part] = [ReasoningPart(thoughts)] if thoughts else []
        if self._words:
            parts.append(TextPart(self.text))
        calls = [self._calls[index] for index in sorted(self._calls)]
        parts.extend(ToolCallPart(call.id, call.name, "".join(call.arguments)) for call in calls)
        return ChatReply(tuple(parts), "incomplete", usage=self.counted(self._usage))


def added(one: ChatUsage, other: ChatUsage) -> ChatUsage:
    """The tokens of two answers; the vendor's own report is the later one's."""
    if not one.reported:
        return other
    names = [each.name for each in fields(ChatUsage) if each.name.endswith("_tokens")]
    return replace(
        other,
        **{name: getattr(one, name) + getattr(other, name) for name in names},
        reported=True,
    )


def shows(event: ChatEvent) -> bool:
    """Whether the event is part of the answer: after it the call can no more be made anew unnoticed."""
    if isinstance(event, TextDelta | ReasoningDelta):
        return bool(event.text)
    return isinstance(event, ToolCallDelta)
