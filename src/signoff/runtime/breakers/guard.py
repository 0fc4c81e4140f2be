"""Stands before every call of a tool or model: lets it through, or says when to come again; learns from how it ended.

Three states as in Nygard, Release It! (2nd edition, section 5.2). A worker knows which breakers are not closed from a
look in the background, so a call that goes well costs no query. What it knows may be a second old: a few calls more
reach a target that others have given up, and that is all.
"""

from __future__ import annotations

import asyncio
import logging
import math
import uuid
from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Protocol, TypeGuard, runtime_checkable
from uuid import UUID

from signoff.core.clock import Clock
from signoff.core.errors import SignoffError, StepError, UnavailableError
from signoff.foundation.database import Database
from signoff.runtime.breakers import store
from signoff.runtime.breakers.model import Key
from signoff.runtime.breakers.settings import BreakerSettings
from signoff.runtime.handlers import StepCall, StepHandler

BREAKER_OPEN = "breaker_open"
"""The kind of the error that a call gets that was not let through."""

SLOW = "slow"
LATE = frozenset({SLOW, "timeout"})
"""How a call ends whose own worker was stopped, or had no time for it, though the other side answered at once."""

PROBE_SLACK_S = 5.0  # beyond a probe's own time before it counts as lost: its worker is dead
OURS = frozenset({"unavailable", "internal", "embed", "budget"})  # failures that say nothing of the other side

_log = logging.getLogger(__name__)


@runtime_checkable
class Targeted(Protocol):
    """A handler whose calls go to something that can be down."""

    def target(self, call: StepCall) -> str | None:
        """What the call is sent to, such as `tool/payments.refund`; none where nothing is to be counted."""
        ...


@dataclass(slots=True)
class Entry:
    """A call that was let through.

    Attributes:
        sent: whether it has gone out; what fails before says nothing of the target.
        probe: whether it is the one call that a half-open breaker lets through.
    """

    sent: bool = False
    probe: UUID | None = None


@dataclass(slots=True)
class _Window:
    """A worker's own calls of one target since a moment."""

    since_s: float
    calls: int = 0
    wrong: int = 0


class Passage(Entry):
    """One call on its way through its breaker: `async with` gives its entry.

    A class, as a generator of one costs as much as a small step. Whoever makes a call with every step asks what the
    block would do without waiting: first `is_free`, in the end `went_well`.
    """

    __slots__ = ("_began_s", "_breakers", "_call", "_key")

    def __init__(self, breakers: Breakers, call: StepCall, key: Key | None) -> None:
        self.sent, self.probe = False, None
        self._breakers = breakers
        self._call = call
        self._key = key
        self._began_s = 0.0

    def is_free(self) -> bool:
        """Whether the call may be made without asking, from now on."""
        if self._key is not None:
            if self._key in self._breakers.shut:
                return False
            self._began_s = self._breakers.now_s()
        return True

    async def admitted(self) -> None:
        """Return when a call may be made that is not free.

        Raises:
            StepError: kind `breaker_open`.
        """
        assert self._key is not None
        self.probe = (await self._breakers.admitted(self._key, self._call.timeout_s)).probe
        self._began_s = self._breakers.now_s()

    def went_well(self) -> bool:
        """Whether the call's good end is counted with that, as that of nearly all is; if not, `ended` has to be."""
        if self._key is None:
            return True
        now_s = self._breakers.now_s()
        if not self.sent or self.probe is not None or now_s - self._began_s >= self._breakers.slow_s:
            return False
        self._breakers.counted(self._key, now_s)
        return True

    async def ended(self, error: BaseException | None) -> None:
        """Count how the call has ended, with that error if any."""
        if self._key is not None:
            await self._breakers.left(self._key, self, error, self._breakers.now_s() - self._began_s)

    async def __aenter__(self) -> Entry:
        if not self.is_free():
            await self.admitted()
        return self

    async def __aexit__(self, kind: object, error: BaseException | None, trace: object) -> None:
        if error is not None or not self.went_well():
            await self.ended(error)


class Breakers:
    """The breakers as one worker knows them.

    Args:
        database: where all workers share them.
        clock: the injected clock.
        settings: when they open, and for how long.
        chance: a random number from 0 to 1, so that what waits for a breaker does not come back all at once.
        believed: whether a call that went wrong so, by kind, is put down to what was called; else nobody knows.

    Attributes:
        slow_s: from how many seconds on a call that succeeds counts as slow.
        now_s: tells seconds that never run backwards.
        shut: the breakers that are not closed, with when one may try again. A call of what is not in it may be made.
    """

    def __init__(
        self,
        database: Database,
        *,
        clock: Clock,
        settings: BreakerSettings,
        chance: Callable[[], float],
        believed: Callable[[str], bool] = lambda _: True,
    ) -> None:
        self._database = database
        self._clock = clock
        self._settings = settings
        self._chance = chance
        self._believed = believed
        self.shut: dict[Key, datetime] = {}
        self._windows: dict[Key, _Window] = {}
        self.slow_s = settings.slow_s
        self.now_s = clock.monotonic_s
        self._targeted: dict[str, bool] = {}
        self._looked_s = -math.inf

    async def run(self) -> None:
        """Keep what is known of them fresh, until cancelled.

        Raises:
            UnavailableError: the database is away.
        """
        while True:
            await self.refresh()
            await asyncio.sleep(self._settings.refresh_s)

    async def refresh(self) -> None:
        """Read which breakers are not closed, and forget targets that were not called for a window."""
        async with self._database.worker_connection() as connection:
            rows = await connection.fetch(store.NOT_CLOSED)
        self.shut = {(row["org_id"], row["target"]): row["retry_at"] for row in rows}
        old_s = self._clock.monotonic_s() - self._settings.window_s
        self._windows = {key: window for key, window in self._windows.items() if window.since_s > old_s}

    def entered(self, handler: StepHandler, call: StepCall) -> Passage:
        """Let a call through, and learn from how it ends: `async with` gives its entry.

        Mark the entry `sent` when the call goes out.

        Raises:
            StepError: kind `breaker_open`, on entering; nothing may be sent now, and it says when to come again.
        """
        target = None
        if self._is_targeted(handler):
            try:
                target = handler.target(call)
            except SignoffError:  # whatever it is, the call itself fails with it
                target = None
        return Passage(self, call, None if target is None else (call.run.org_id, target))

    async def fresh(self) -> None:
        """Look as `run` does, where nobody looked for `refresh_s`: for processes that do not run it.

        Who comes while another looks goes on with what is known, and so does everybody while the database is away.
        """
        if self._clock.monotonic_s() - self._looked_s < self._settings.refresh_s:
            return
        self._looked_s = self._clock.monotonic_s()
        try:
            await self.refresh()
        except UnavailableError as error:
            _log.warning("which breakers are open is not known: %s", error.detail)

    def held_s(self, key: Key) -> float | None:
        """For how long no call may be made, in seconds, as far as this process knows; none where one may."""
        retry_at = self.shut.get(key)
        left_s = 0.0 if retry_at is None else (retry_at - self._clock.now()).total_seconds()
        return left_s if left_s > 0 else None

    async def admitted(self, key: Key, timeout_s: float) -> Entry:
        """The entry of a call that may be made now; `ended` gives it back.

        Args:
            key: the organisation and the target.
            timeout_s: how long the call may take, in seconds; a probe that takes longer counts as lost.

        Raises:
            StepError: kind `breaker_open`.
        """
        return Entry(probe=await self._admit(key, timeout_s) if key in self.shut else None)

    async def left(self, key: Key, entry: Entry, error: BaseException | None, took_s: float) -> None:
        """A call that was let through has ended, with that error if any."""
        wrong = None
        if error is None:
            wrong = SLOW if took_s >= self._settings.slow_s else None
        elif not isinstance(error, StepError):
            entry.sent = False  # cut off: nobody knows
        elif entry.sent and error.kind not in OURS and (error.retryable or error.outcome_unknown):
            wrong = error.kind
        if wrong is not None and not self._believed(wrong):
            entry.sent, wrong = False, None
        await self.ended(key, entry, wrong)

    def _is_targeted(self, handler: StepHandler) -> TypeGuard[Targeted]:
        found = self._targeted.get(handler.verb)
        if found is None:  # looked at once, as asking a protocol costs as much as a small step
            found = self._targeted[handler.verb] = isinstance(handler, Targeted)
        return found

    async def _admit(self, key: Key, timeout_s: float) -> UUID | None:
        now, retry_at = self._clock.now(), self.shut[key]
        if retry_at <= now:
            probe = uuid.uuid4()
            lost_at = now + timedelta(seconds=timeout_s + PROBE_SLACK_S)
            async with self._database.worker_connection() as connection:
                if await connection.fetchval(store.PROBE, *key, probe, now, lost_at) is not None:
                    self.shut[key] = lost_at
                    return probe
            # Another one is the probe, or it is closed again: the next look tells. Until then nobody here asks.
            retry_at = self.shut[key] = now + timedelta(seconds=self._settings.refresh_s)
        wait_s = min((retry_at - now).total_seconds(), self._settings.longest_open_s)
        detail = f"'{key[1]}' has failed too often; it is left alone for a while"
        raise StepError(
            detail, kind=BREAKER_OPEN, retryable=True, retry_after_s=max(wait_s, 0.0) * (1 + self._chance() / 2)
        )

    async def ended(self, key: Key, entry: Entry, wrong: str | None) -> None:
        """Count a call that was let through, and write what others must know.

        A database that is away loses a count, not a result.

        Args:
            key: as it was admitted.
            entry: likewise; one that was not `sent` says nothing of the target.
            wrong: how it failed, in one word; none where the target did well.
        """
        try:
            if entry.probe is not None:
                await self._probed(key, entry.probe, wrong, sent=entry.sent)
            elif entry.sent:
                await self._count(key, wrong)
        except UnavailableError as error:
            _log.warning("the breaker of %s was not told of a call: %s", key[1], error.detail)

    async def _probed(self, key: Key, probe: UUID, wrong: str | None, *, sent: bool) -> None:
        now, settings = self._clock.now(), self._settings
        async with self._database.worker_connection() as connection:
            if not sent:
                retry_at = await connection.fetchval(store.GIVE_BACK, *key, probe, now)
            elif wrong is None:
                if await connection.fetchval(store.CLOSE, *key, probe, now) is not None:
                    self.shut.pop(key, None)
                    _log.info("the breaker of %s is closed again", key[1])
                return
            else:
                times = (settings.open_s, settings.longest_open_s)
                retry_at = await connection.fetchval(store.REOPEN, *key, probe, now, wrong, *times)
        if retry_at is not None:
            self.shut[key] = retry_at

    def counted(self, key: Key, now_s: float) -> _Window:
        """Count a call that was let through, no probe, and has ended now; of one that went well nothing is written."""
        window = self._windows.get(key)
        if window is None or now_s - window.since_s >= self._settings.window_s:
            window = self._windows[key] = _Window(now_s)
        window.calls += 1
        return window

    async def _count(self, key: Key, wrong: str | None) -> None:
        window = self.counted(key, self._clock.monotonic_s())
        if wrong is None:
            return
        window.wrong += 1
        # A busy target always has some failures: they are written where they are a good part of what this worker sees.
        if window.wrong < self._settings.share * window.calls:
            return
        await self._record(key, wrong)

    async def _record(self, key: Key, wrong: str) -> None:
        now, settings = self._clock.now(), self._settings
        failed, slow = ([], [now]) if wrong == SLOW else ([now], [])
        since = now - timedelta(seconds=settings.window_s)
        opened = now + timedelta(seconds=settings.open_s)
        limits = (settings.failures, settings.slow_calls)
        async with self._database.worker_connection() as connection:
            await connection.execute(store.RECORD, *key, failed, slow, wrong, now, since, *limits)
            retry_at = await connection.fetchval(store.TRIP, *key, *limits, opened, now)
        if retry_at is not None:
            self.shut[key] = retry_at
            _log.warning("the breaker of %s is open: %s", key[1], wrong)
