"""Admission: who of those that wait in a queue gets its slot (decision 0002, rule 7).

Whatever may let a run go on (it came, a slot came free, its time has come) writes a turn in its own transaction. A
worker takes a queue's turns under the queue's row lock and lets as many runs through as slots and tokens allow: first
those of the turns' keys to the queue's gate, then from there to the claims. Slots are rows with a number of their own,
so even two admissions at once could not give one away twice.
"""

from __future__ import annotations

import logging
from collections import Counter
from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Literal
from uuid import UUID

import orjson

from signoff.core.errors import UnavailableError
from signoff.foundation.database import Connection, Database, Record
from signoff.runtime.queues import Bounds, Queue, Rate
from signoff.runtime.starting import store

QUEUES = 32  # looked at in one round
POSTPONED = timedelta(seconds=1)  # turns of a queue that an error of ours kept from being looked at
TURNS = 1000  # taken of one queue in one transaction
BATCH = 256  # runs admitted to one queue in one transaction

SKEW_S = 60.0
"""How far workers' clocks may be apart: a bucket that was filled later than that from now on counts from now."""

Scope = Literal["queue", "team", "key"]

WHOLE = ""  # the label of what bounds the queue as a whole

_log = logging.getLogger(__name__)


async def admit_due(database: Database, now: datetime) -> int:
    """Look at every queue that has a turn; gives how many runs may now be claimed.

    Raises:
        UnavailableError: the database went away; what was not committed is done again.
    """
    admitted = 0
    while True:
        async with database.worker_connection() as connection:
            due = await connection.fetch(store.DUE_QUEUES, now, QUEUES)
        for row in due:
            place = row["org_id"], row["queue"]
            try:
                async with database.worker_transaction() as connection:
                    admitted += await _admit(connection, *place, now)
            except UnavailableError:
                raise
            except Exception:  # noqa: BLE001  (whatever it is, it concerns this queue alone)
                _log.exception("queue %s could not be looked at; it is looked at again", row["queue"])
                async with database.worker_connection() as connection:
                    await connection.execute(store.POSTPONE_TURNS, *place, now, now + POSTPONED)
        if len(due) < QUEUES:
            return admitted


async def _admit(connection: Connection, org_id: UUID, path: str, now: datetime) -> int:
    row = await connection.fetchrow(store.LOCK_QUEUE, org_id, path)
    queue = Queue(path) if row is None else Queue.from_limits(path, orjson.loads(row["limits"]))
    turns = await connection.fetch(store.TAKE_TURNS, org_id, path, now, TURNS)
    if not turns:
        return 0  # somebody else took them while we waited for the lock
    paused = row is not None and row["paused_at"] is not None
    admission = _Admission(connection, org_id, queue, now, paused)
    await admission.pass_keys(sorted({row["queue_key"] for row in turns} - {None}))
    return await admission.pass_queue()


@dataclass(frozen=True, slots=True)
class _Admission:
    """One queue, locked, in one transaction."""

    connection: Connection
    org_id: UUID
    queue: Queue
    now: datetime
    paused: bool

    async def pass_keys(self, keys: Sequence[str]) -> None:
        """To the queue's gate: the next runs of those keys, as far as their slots and tokens go."""
        if not keys or self.paused:
            return  # whoever resumes it looks at everything that waits
        bounds = self.queue.per_key
        used = await self._used("key", keys)
        tokens = await self._tokens("key", keys, bounds.rate)
        free = {key: min(_free(bounds, len(used[key])), tokens.whole(key)) for key in keys}
        found = await self.connection.fetch(
            store.NEXT_OF_KEYS, self.org_id, self.queue.name, list(free), list(free.values()), self.now
        )
        label_of = {row["run_id"]: row["label"] for row in found}
        passed = await self.connection.fetch(store.PROMOTE, list(label_of))
        taken = [(label_of[row["run_id"]], row["run_id"]) for row in passed]
        if bounds.concurrency is not None:
            await self._take_slots("key", used, taken)
        await self._spend("key", tokens, [label for label, _ in taken])
        counts = Counter(label for label, _ in taken)
        for key in keys:
            # More may wait: for tokens, or because a batch was full. For a slot, the run that has it will turn.
            short_of_tokens = bounds.rate is not None and tokens.whole(key) <= counts[key]
            if (short_of_tokens and _free(bounds, len(used[key])) > 0) or counts[key] == BATCH:
                await self._turn(key, tokens.next_at(key, counts[key], self.now))
        room = [key for key in keys if _free(bounds, len(used[key])) > counts[key]]
        if room:
            await self.connection.execute(store.KEY_TURNS_LATER, self.org_id, self.queue.name, room, self.now)

    async def pass_queue(self) -> int:
        """To the claims: those that come back to go on, then new ones, the teams with the fewest slots first."""
        whole, per_team = self.queue.whole, self.queue.per_team
        used = (await self._used("queue", [WHOLE]))[WHOLE]
        free = _free(whole, len(used))
        if free == 0:
            return 0  # the run that frees a slot will turn
        rows = await self.connection.fetch(store.TEAMS, self.org_id, self.queue.name)
        back = await self.connection.fetch(
            store.COMING_BACK, self.org_id, self.queue.name, self.now, BATCH, per_team.concurrency
        )
        teams = sorted({row["team"] for row in (*rows, *back)})
        slots = Counter({team: len(numbers) for team, numbers in (await self._used("team", teams)).items()})
        passed = await self._pass(list(_within(back, free, {team: _free(per_team, slots[team]) for team in teams})))
        slots.update(team for team, _ in passed)
        passed += await self._pass_new(teams, slots, free - len(passed))
        await self._record_slots(passed, used, teams)
        if len(passed) >= BATCH:
            await self._turn(None, self.now)
        elif len(passed) < free:
            await self.connection.execute(store.TURN_LATER, self.org_id, self.queue.name, self.now)
        return len(passed)

    async def _pass_new(self, teams: Sequence[str], slots: Mapping[str, int], free: int) -> list[tuple[str, UUID]]:
        if not teams or self.paused:
            return []
        whole, per_team = self.queue.whole, self.queue.per_team
        tokens = await self._tokens("queue", [WHOLE], whole.rate)
        of_teams = await self._tokens("team", teams, per_team.rate)
        wanted = min(free, tokens.whole(WHOLE), BATCH)
        allowed = [min(_free(per_team, slots[team]), of_teams.whole(team)) for team in teams]
        chosen = await self.connection.fetch(
            store.CANDIDATES,
            self.org_id,
            self.queue.name,
            list(teams),
            [slots[team] for team in teams],
            allowed,
            self.now,
            wanted,
        )
        taken = await self._pass([(row["team"], row["run_id"]) for row in chosen])
        counts = Counter(team for team, _ in taken)
        await self._spend("queue", tokens, [WHOLE] * len(taken))
        await self._spend("team", of_teams, [team for team, _ in taken])
        # Where tokens were the bound, nobody else will turn: look again when the first one is there.
        later = [
            of_teams.next_at(team, counts[team], self.now) for team in teams if of_teams.whole(team) <= counts[team]
        ]
        if tokens.whole(WHOLE) <= len(taken):
            later.append(tokens.next_at(WHOLE, len(taken), self.now))
        if later:
            await self._turn(None, min(later))
        return taken

    async def _pass(self, chosen: Sequence[tuple[str, UUID]]) -> list[tuple[str, UUID]]:
        if not chosen:
            return []
        team_of = {run_id: team for team, run_id in chosen}
        passed = await self.connection.fetch(store.ADMIT, list(team_of), self.now)
        return [(team_of[row["run_id"]], row["run_id"]) for row in passed]

    async def _record_slots(self, passed: Sequence[tuple[str, UUID]], used: set[int], teams: Sequence[str]) -> None:
        if not passed:
            return
        if self.queue.whole.concurrency is not None:
            await self._take_slots("queue", {WHOLE: used}, [(WHOLE, run_id) for _, run_id in passed])
        if self.queue.whole.concurrency is not None or self.queue.per_team.concurrency is not None:
            await self._take_slots("team", await self._used("team", teams), passed)

    async def _used(self, scope: Scope, labels: Collection[str]) -> dict[str, set[int]]:
        rows = await self.connection.fetch(store.USED_SLOTS, self.org_id, self.queue.name, scope, list(labels))
        used: dict[str, set[int]] = {label: set() for label in labels}
        for row in rows:
            used[row["label"]].add(row["slot"])
        return used

    async def _take_slots(self, scope: Scope, used: Mapping[str, set[int]], taken: Sequence[tuple[str, UUID]]) -> None:
        if not taken:
            return
        numbers = {label: _free_numbers(used[label]) for label in {label for label, _ in taken}}
        labels, run_ids = zip(*taken, strict=True)
        slots = [next(numbers[label]) for label in labels]
        await self.connection.execute(
            store.TAKE_SLOTS, self.org_id, self.queue.name, scope, list(labels), slots, list(run_ids)
        )

    async def _tokens(self, scope: Scope, labels: Collection[str], rate: Rate | None) -> _Tokens:
        if rate is None:
            return _Tokens(None, {})
        rows = await self.connection.fetch(store.BUCKETS, self.org_id, self.queue.name, scope, list(labels))
        found = dict.fromkeys(labels, float(rate.burst))
        ahead: dict[str, float] = {}
        for row in rows:
            passed_s = (self.now - row["filled_at"]).total_seconds()
            found[row["label"]] = rate.tokens(row["tokens"], row["filled_at"], self.now)
            if passed_s < -SKEW_S:
                ahead[row["label"]] = row["tokens"]
        await self._fill(scope, ahead)
        return _Tokens(rate, found)

    async def _spend(self, scope: Scope, tokens: _Tokens, labels: Sequence[str]) -> None:
        if tokens.rate is None or not labels:
            return
        await self._fill(
            scope, {label: max(0.0, tokens.left[label] - count) for label, count in Counter(labels).items()}
        )

    async def _fill(self, scope: Scope, left: Mapping[str, float]) -> None:
        if left:
            await self.connection.execute(
                store.FILL_BUCKETS,
                self.org_id,
                self.queue.name,
                scope,
                list(left),
                list(left.values()),
                self.now,
                SKEW_S,
            )

    async def _turn(self, key: str | None, due_at: datetime) -> None:
        await self.connection.execute(store.ADD_TURN, self.org_id, self.queue.name, key, due_at)


@dataclass(frozen=True, slots=True)
class _Tokens:
    """What the buckets of one scope hold now; everything where no rate bounds it."""

    rate: Rate | None
    left: Mapping[str, float]

    def whole(self, label: str) -> int:
        """Runs that may begin now."""
        # A token that comes back over the time that its turn was set for is a whole one, whatever floats make of it.
        return BATCH if self.rate is None else int(self.left[label] + 1e-6)

    def next_at(self, label: str, spent: int, now: datetime) -> datetime:
        """When the next run may begin after so many."""
        if self.rate is None:
            return now
        missing = 1.0 - (self.left[label] - spent)
        return now + timedelta(seconds=max(0.0, missing) / self.rate.per_second)


def _free(bounds: Bounds, used: int) -> int:
    return BATCH if bounds.concurrency is None else min(BATCH, max(0, bounds.concurrency - used))


def _free_numbers(used: set[int]) -> Iterator[int]:
    number = 0
    while True:
        number += 1
        if number not in used:
            yield number


def _within(rows: Sequence[Record], free: int, of_teams: dict[str, int]) -> Iterator[tuple[str, UUID]]:
    for row in rows:
        team, run_id = row["team"], row["run_id"]
        assert isinstance(team, str)
        assert isinstance(run_id, UUID)
        if free > 0 and of_teams[team] > 0:
            free -= 1
            of_teams[team] -= 1
            yield team, run_id
