"""What is kept of one call while it goes on: who was considered, who was asked, what it used; at the end its record."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from signoff.capabilities.gateway.asking import Asked, CallRecord, Considered, Recorder, Tried
from signoff.capabilities.gateway.chat import ChatReply, ChatUsage
from signoff.core.clock import Clock
from signoff.core.ids import uuid7
from signoff.core.money import NO_USAGE

MILLISECONDS = 1000


class Ledger:
    """Of one call.

    Args:
        asked: by whom, for what.
        kind: `chat` or `stream`.
        clock: for when it began and how long it took.
        recorder: keeps the record; none where nobody does.

    Attributes:
        id: of the record.
        model: who is being asked, or was last.
        signals: what detectors found.
    """

    def __init__(self, asked: Asked, kind: str, clock: Clock, recorder: Recorder | None) -> None:
        self._asked = asked
        self._kind = kind
        self._clock = clock
        self._recorder = recorder
        self._at = clock.now()
        self.id = uuid7(time_ms=int(self._at.timestamp() * MILLISECONDS))
        self._began_s = clock.monotonic_s()
        self._first_token_s: float | None = None
        self._record: CallRecord | None = None
        self.model = ""
        self.considered: Sequence[Considered] = ()
        self.tried: list[Tried] = []
        self.signals: dict[str, Any] = {}

    @property
    def elapsed_s(self) -> float:
        """Since the call began, in seconds."""
        return self._clock.monotonic_s() - self._began_s

    @property
    def record(self) -> CallRecord | None:
        """What is kept; none before the end."""
        return self._record

    def first_token(self) -> None:
        """The caller sees the first token now, if none came before."""
        if self._first_token_s is None:
            self._first_token_s = self.elapsed_s

    def close(
        self, outcome: str, reply: ChatReply | None = None, model: str = "", *, cached: bool = False
    ) -> CallRecord:
        """The call is over. Only the first time counts."""
        if self._record is None:
            usage = NO_USAGE
            for one in self.tried:
                usage = usage + one.usage
            self._record = CallRecord(
                id=self.id,
                at=self._at,
                asked=self._asked,
                kind=self._kind,
                outcome=outcome,
                finish_reason="" if reply is None else reply.finish_reason,
                model=model,
                considered=tuple(self.considered),
                tried=tuple(self.tried),
                usage=usage,
                tokens=ChatUsage() if reply is None else reply.usage,
                first_token_s=self._first_token_s,
                latency_s=self.elapsed_s,
                cached=cached,
                signals=dict(self.signals),
            )
            if self._recorder is not None:
                self._recorder.record(self._record)
        return self._record


def outcome_of(reply: ChatReply) -> str:
    """The outcome of a call that was answered."""
    return "incomplete" if reply.finish_reason == "incomplete" else "ok"
