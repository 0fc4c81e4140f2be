"""Keeps answers in the database: whoever asks the same, as the same principal, of the same release, gets the same."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import AsyncGenerator, Awaitable, Callable, Sequence
from contextlib import asynccontextmanager, suppress
from datetime import timedelta
from uuid import UUID

from pydantic import BaseModel, ConfigDict, Field

from signoff.capabilities.gateway.asking import Asked, Question
from signoff.capabilities.gateway.caching import store
from signoff.capabilities.gateway.caching.codec import packed, question_of, unpacked
from signoff.capabilities.gateway.chat import ChatReply, ChatRequest
from signoff.core.clock import Clock
from signoff.core.errors import UnavailableError
from signoff.core.ids import IdSource, uuid7
from signoff.core.labels import DataClass
from signoff.foundation.database import Database

KEPT = ("stop", "tool_calls")
"""Reasons to end of answers that are kept: no refusal, nothing cut off or withheld."""
CLAIM_SLACK_S = 5.0
"""Beyond a call's own time before its claim counts as lost: its process is dead."""

Ask = Callable[[], Awaitable[ChatReply]]
_Key = tuple[UUID, str]
_log = logging.getLogger(__name__)


class CacheSettings(BaseModel):
    """Bounds of the cache."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    ttl_s: float = Field(default=3_600.0, gt=0, description="How long an answer is given again.")
    most_answers: int = Field(default=10_000, ge=1, description="Answers that an organisation keeps; the oldest go.")
    most_bytes: int = Field(default=262_144, ge=1, description="Size of an answer that is kept.")
    most_class: DataClass = Field(
        default=DataClass.CONFIDENTIAL, description="The highest class of data whose answers are kept."
    )
    poll_s: float = Field(default=0.05, gt=0, description="How often another process's answer is looked for.")
    sweep_s: float = Field(default=60.0, gt=0, description="How often what is over is deleted.")


class KeptAnswers:
    """One process's way to the kept answers.

    Args:
        database: where they are kept.
        clock: the injected clock.
        settings: bounds.
        ids: of claims.
    """

    def __init__(
        self, database: Database, clock: Clock, settings: CacheSettings | None = None, *, ids: IdSource = uuid7
    ) -> None:
        self._database = database
        self._clock = clock
        self._settings = settings or CacheSettings()
        self._ids = ids
        self._under_way: dict[_Key, asyncio.Future[None]] = {}
        self._swept_s: dict[UUID, float] = {}

    async def answered(
        self, asked: Asked, models: Sequence[str], request: ChatRequest, ask: Ask
    ) -> tuple[ChatReply, bool]:
        """The answer that is kept, or that of `ask`, and whether it was kept. What `ask` raises is raised."""
        async with self.asking(asked, models, request) as question:
            if question.kept is not None:
                return question.kept, True
            question.answer = await ask()
            return question.answer, False

    @asynccontextmanager
    async def asking(self, asked: Asked, models: Sequence[str], request: ChatRequest) -> AsyncGenerator[Question]:
        """A question, with the answer that is kept; else the block asks it and says the answer, which is then kept.

        Of several that ask the same at once one asks, in all processes, and the others wait for it; where it gets no
        answer that may be kept, the next one asks. A database that is away keeps nothing and finds nothing.
        """
        question = Question()
        if not asked.cached or asked.data_labels.data_class > self._settings.most_class:
            yield question
            return
        key = (asked.caller.org_id, question_of(asked, models, request))
        deadline_s = self._clock.monotonic_s() + request.timeout_s
        while (other := self._under_way.get(key)) is not None:
            over, _ = await asyncio.wait((other,), timeout=max(deadline_s - self._clock.monotonic_s(), 0.0))
            if not over:
                yield question  # another one asks for longer than this call has time: it asks for itself
                return
        mine = self._under_way[key] = asyncio.get_running_loop().create_future()
        try:
            async with self._asking(key, request.timeout_s, question):
                yield question
        finally:
            del self._under_way[key]
            mine.set_result(None)

    @asynccontextmanager
    async def _asking(self, key: _Key, timeout_s: float, question: Question) -> AsyncGenerator[None]:
        claim, deadline_s = self._ids(), self._clock.monotonic_s() + timeout_s
        try:
            while not (found := await self._claimed(key, claim, timeout_s + CLAIM_SLACK_S))[0]:
                if found[1] is not None:
                    question.kept = unpacked(found[1])
                    break
                if self._clock.monotonic_s() >= deadline_s:
                    break  # another process asks for longer than this call has time: it asks for itself
                await self._clock.sleep(self._settings.poll_s)
        except UnavailableError as error:
            _log.warning("no kept answer can be looked for: %s", error.detail)
        if question.kept is not None:
            yield
            return
        kept = False
        try:
            yield
            kept = question.answer is not None and await self._keep(key, claim, question.answer)
        finally:
            if not kept:
                with suppress(UnavailableError):
                    await self._execute(store.LET_GO, *key, claim)

    async def _claimed(self, key: _Key, claim: UUID, lease_s: float) -> tuple[bool, bytes | None]:
        now = self._clock.now()
        async with self._database.worker_connection() as connection:
            row = await connection.fetchrow(store.CLAIM, *key, claim, now, now + timedelta(seconds=lease_s))
        assert row is not None
        return row["mine"], row["reply"]

    async def _keep(self, key: _Key, claim: UUID, reply: ChatReply) -> bool:
        """Whether the answer is kept."""
        if reply.finish_reason not in KEPT or reply.refusal:
            return False
        data, now, settings = packed(reply), self._clock.now(), self._settings
        if len(data) > settings.most_bytes:
            return False
        try:
            await self._execute(store.KEEP, *key, claim, data, now, now + timedelta(seconds=settings.ttl_s))
            if self._clock.monotonic_s() - self._swept_s.get(key[0], -settings.sweep_s) >= settings.sweep_s:
                self._swept_s[key[0]] = self._clock.monotonic_s()
                await self._execute(store.SWEEP, key[0], now, settings.most_answers)
        except UnavailableError as error:
            _log.warning("an answer is not kept: %s", error.detail)
            return False
        return True

    async def _execute(self, statement: str, *arguments: object) -> None:
        async with self._database.worker_connection() as connection:
            await connection.execute(statement, *arguments)
