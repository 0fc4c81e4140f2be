"""The engine's SQL: sessions, queue, journal, inbox. What the control plane asks is in `client/store.py`."""

from __future__ import annotations

from collections.abc import Generator, Iterable, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from operator import itemgetter
from typing import Any
from uuid import UUID

from signoff.core.errors import ConflictError
from signoff.core.fresh import fresh_dict, fresh_list, fresh_set
from signoff.foundation.database import Connection, DeadlockDetected, UniqueViolation
from signoff.foundation.database.failures import translated

# The timeline of what is being written: pg_control_checkpoint() still has the old one until the first checkpoint after
# a promotion.
_TIMELINE = "('x' || left(pg_walfile_name(pg_current_wal_lsn()), 8))::bit(32)::int"

# A session's row is the fence. Its timeline is the server's of the time (the column's default): behind a pooler that
# keeps its clients through a failover, a worker may know events that the new server never got, and write past the gap.
FENCED = f"id = $1 AND timeline = {_TIMELINE}"

# Expiry uses the server's clock, so that workers' clocks may differ.
OPEN_SESSION = """
INSERT INTO worker_session (id, host, process_id, expires_at)
VALUES ($1, $2, $3, now() + make_interval(secs => $4))
"""

SERVER = f"""
SELECT (SELECT system_identifier FROM pg_control_system()) AS system_identifier,
    {_TIMELINE} AS timeline,
    current_setting('fsync') AS fsync, current_setting('full_page_writes') AS full_page_writes,
    current_setting('synchronous_commit') AS synchronous_commit,
    current_setting('synchronous_standby_names') AS synchronous_standby_names,
    (SELECT count(*) FROM pg_stat_replication) AS standbys
"""  # noqa: S608  (constants only)

# True where another server held this database before. Whoever comes second finds the row.
MEET_SERVER = """
INSERT INTO server_history (system_identifier, timeline, broke)
SELECT $1, $2, EXISTS (SELECT FROM server_history) ON CONFLICT DO NOTHING RETURNING broke
"""

LAST_BREAK = "SELECT max(seen_at) FROM server_history WHERE broke"

# Not a key column, so it does not wait for appends under way; no row means that we were declared dead.
HEARTBEAT = f"""
UPDATE worker_session SET expires_at = now() + make_interval(secs => $2) WHERE {FENCED} RETURNING id
"""  # noqa: S608  (constants only)

# Waits for appends under way (they hold FOR KEY SHARE); afterwards the old owner can write nothing more.
CLOSE_SESSION = "DELETE FROM worker_session WHERE id = $1"

# SKIP LOCKED: a session whose append hangs is left for the next round instead of stalling the reaper.
REAP_SESSIONS = """
DELETE FROM worker_session
WHERE id IN (SELECT id FROM worker_session WHERE expires_at < now() FOR UPDATE SKIP LOCKED)
RETURNING id, client
"""

# What dead processes hold, of those just found and of those passed over because something of theirs holds the session.
END_BACKENDS = """
SELECT * FROM signoff_end_backends(ARRAY(SELECT client FROM worker_session WHERE expires_at < now()) || $1::text[])
"""

# Runs of sessions that are gone become free at once; the loose NOT EXISTS also heals after any crash in between. The
# dead owners are found first: a row that somebody took meanwhile is compared again by its owner, and left alone. SKIP
# LOCKED: two reapers never wait for each other.
RELEASE_ORPHANS = """
WITH dead AS MATERIALIZED (
    SELECT DISTINCT owner FROM run_queue q
    WHERE owner IS NOT NULL AND NOT EXISTS (SELECT FROM worker_session s WHERE s.id = q.owner)
), orphan AS MATERIALIZED (
    SELECT q.run_id FROM run_queue q JOIN dead USING (owner) FOR UPDATE OF q SKIP LOCKED
)
UPDATE run_queue q SET owner = NULL, due_at = least(q.due_at, $1)
WHERE q.run_id = ANY (ARRAY(SELECT run_id FROM orphan))
RETURNING q.run_id
"""

# Only for workers that were declared dead: one that stops or loses the database gives its runs back by itself.
COUNT_CRASHES = "UPDATE run_queue SET crashes = least(crashes, 30000) + 1 WHERE owner = ANY($1::uuid[])"

# The count goes on where the run is where it was the time before.
NOTE_CRASH = """
UPDATE run_queue SET crashes = CASE WHEN crashed_at = $2 THEN crashes ELSE 1 END, crashed_at = $2
WHERE run_id = $1 RETURNING crashes
"""
FORGET_CRASHES = "UPDATE run_queue SET crashes = 0, crashed_at = NULL WHERE run_id = $1"

RELEASE_RUNS = """
UPDATE run_queue SET owner = NULL, due_at = $3 WHERE owner IS NOT DISTINCT FROM $1 AND run_id = ANY ($2::uuid[])
"""

# For connections that claim, load and append all day: one plan, by keys, however long batch, queue and journal are.
# Their statements leave no other: a queue that was empty when PostgreSQL last looked at it counts as one row until it
# looks again, and was then read whole for each batch (13 times the work). So rows are looked up in a lateral subquery
# that OFFSET or a lock keeps apart, or by `key = ANY (ARRAY[...])`, which cannot be turned round as `key = other` can.
# Left to itself PostgreSQL planned each batch anew (four times the work of a load, as the journal has a partition
# a month), or took every array for ten rows and went over all runs of the owner for each event, and for each run to be
# loaded. `IS NOT DISTINCT FROM` is no use of the index by owner either.
PLAN_BY_KEY = """
SET plan_cache_mode = force_generic_plan; SET enable_seqscan = off;
SET enable_hashjoin = off; SET enable_mergejoin = off
"""

# The safety net under NOTIFY: messages for runs that this worker holds.
RESIDENT_WITH_MESSAGES = """
SELECT q.run_id FROM run_queue q WHERE q.owner = $1
    AND (SELECT true FROM inbox WHERE run_id = q.run_id LIMIT 1) IS NOT NULL
"""

# Decision 0002, rules 1, 5 and 6: fence, append, projection, finish and park in one statement, which is its own
# transaction. All parts see one snapshot; a run_queue row is finished or parked by one of them, never both.
# A message leaves the inbox only with the event that took it. SKIP LOCKED: a sender that takes its time with the row of
# one run would hold up the events of all; the owner of a run that could not leave looks again. A run whose effect's key
# moved on since it was chosen writes nothing.
#
# `_NOT_OURS` are those of a batch's runs that the session does not have, mostly none: so each run is looked up once,
# however many events it has.
_NOT_OURS = """
    SELECT u.run_id FROM unnest($2::text::uuid[]) AS u(run_id)
    WHERE (SELECT true FROM run_queue q WHERE q.run_id = u.run_id AND q.owner IS NOT DISTINCT FROM $1) IS NULL
"""

_WRITTEN = """
), appended AS (
    INSERT INTO journal (run_id, seq, session_id, kind, recorded_at, data, org_id)
    SELECT u.run_id, u.seq, fence.id, u.kind, timestamptz 'epoch' + u.recorded_us * interval '1 microsecond', u.data,
        u.org_id
    FROM fence, unnest($3::text::uuid[], $4::text::int[], $5::text::text[], $6::text::bigint[], $7::bytea[],
        $8::text::uuid[]) AS u(run_id, seq, kind, recorded_us, data, org_id)
    WHERE u.run_id NOT IN (SELECT run_id FROM passed_by)
    RETURNING run_id
), viewed AS (
    UPDATE run_view v
    SET status = u.status, outcome = u.outcome, waiting_for = u.waiting_for, error = u.error, usage = u.usage,
        updated_at = timestamptz 'epoch' + u.updated_us * interval '1 microsecond',
        ended_at = timestamptz 'epoch' + u.ended_us * interval '1 microsecond', data_class = u.data_class
    FROM fence, unnest($9::text::uuid[], $10::text[], $11::text[], $12::jsonb[], $13::jsonb[], $14::jsonb[],
        $15::text::bigint[], $16::text::bigint[], $17::text::smallint[])
        AS u(run_id, status, outcome, waiting_for, error, usage, updated_us, ended_us, data_class)
    WHERE v.run_id = ANY (ARRAY[u.run_id]) AND u.run_id NOT IN (SELECT run_id FROM passed_by)
"""

_APPEND_HEAD = f"""
WITH fence AS MATERIALIZED (
    SELECT id FROM worker_session WHERE {FENCED} FOR KEY SHARE
), moved AS MATERIALIZED (
    SELECT u.run_id FROM unnest($27::uuid[], $28::uuid[], $29::text[], $30::int[]) AS u(run_id, org_id, key, generation)
    LEFT JOIN LATERAL (SELECT * FROM effect_key WHERE org_id = u.org_id AND key = u.key OFFSET 0) k ON true
    WHERE coalesce(k.generation, 0) <> u.generation
), passed_by AS MATERIALIZED (
    {_NOT_OURS} UNION ALL SELECT run_id FROM moved
{_WRITTEN}
), drained AS (
    DELETE FROM inbox i USING fence, unnest($20::uuid[], $21::uuid[]) AS u(run_id, message_id)
    WHERE i.message_id = ANY (ARRAY[u.message_id]) AND u.run_id NOT IN (SELECT run_id FROM passed_by)
), leaving AS MATERIALIZED (
    SELECT q.run_id, u.due_at, u.yields, u.journal_bytes FROM fence, (
        SELECT run_id, gen, NULL::timestamptz AS due_at, false AS yields, NULL::bigint AS journal_bytes
        FROM unnest($18::text::uuid[], $19::text::bigint[]) AS f(run_id, gen)
        UNION ALL SELECT * FROM unnest($22::uuid[], $23::bigint[], $24::timestamptz[], $25::boolean[], $26::bigint[])
    ) u CROSS JOIN LATERAL (
        SELECT run_id FROM run_queue WHERE run_id = u.run_id AND owner IS NOT DISTINCT FROM $1 AND gen = u.gen
        FOR UPDATE SKIP LOCKED
    ) q
    WHERE u.run_id NOT IN (SELECT run_id FROM moved)
), finished AS (
    DELETE FROM run_queue q WHERE q.run_id = ANY (ARRAY(SELECT run_id FROM leaving WHERE due_at IS NULL))
    RETURNING q.run_id
), parked AS (
    UPDATE run_queue q SET owner = NULL, due_at = leaving.due_at,
        gate = CASE WHEN leaving.yields AND q.yields THEN 'back' END,
        journal_bytes = coalesce(leaving.journal_bytes, q.journal_bytes)
    FROM leaving WHERE q.run_id = ANY (ARRAY[leaving.run_id]) AND leaving.due_at IS NOT NULL
    RETURNING q.run_id
)
"""  # noqa: S608  (constants only)

_APPEND_TAIL = """
SELECT (SELECT count(*) FROM fence) AS fenced,
    (SELECT count(*) FROM appended) AS appended,
    (SELECT coalesce(array_agg(run_id), '{}') FROM finished) AS finished,
    (SELECT coalesce(array_agg(run_id), '{}') FROM parked) AS parked,
    (SELECT coalesce(array_agg(run_id), '{}') FROM moved) AS moved
"""

APPEND = _APPEND_HEAD + _APPEND_TAIL

# What runs are searched by, beside their views: most batches have none of it, and then its arrays need no parsing.
_SEARCHED = """
, attributed AS (
    INSERT INTO run_attribute (org_id, run_id, name, text_value, integer_value, number_value, moment_value)
    SELECT u.* FROM fence, unnest($31::uuid[], $32::uuid[], $33::text[], $34::text[], $35::bigint[], $36::float8[],
        $37::timestamptz[]) AS u(org_id, run_id, name, text_value, integer_value, number_value, moment_value)
    WHERE u.run_id NOT IN (SELECT run_id FROM passed_by)
    ON CONFLICT (run_id, name) DO UPDATE SET text_value = excluded.text_value, integer_value = excluded.integer_value,
        number_value = excluded.number_value, moment_value = excluded.moment_value
), worded AS (
    INSERT INTO run_word (org_id, run_id, word)
    SELECT u.* FROM fence, unnest($38::uuid[], $39::uuid[], $40::text[]) AS u(org_id, run_id, word)
    WHERE u.run_id NOT IN (SELECT run_id FROM passed_by)
    ON CONFLICT DO NOTHING
)
"""

APPEND_SEARCHED = _APPEND_HEAD + _SEARCHED + _APPEND_TAIL

# The same for batches that only go on and end: nothing drained, parked or keyed. What a statement does not do is set up
# for each batch all the same, which is a third of the time of a small one.
APPEND_PLAIN = f"""
WITH fence AS MATERIALIZED (
    SELECT id FROM worker_session WHERE {FENCED} FOR KEY SHARE
), passed_by AS MATERIALIZED (
    {_NOT_OURS}
{_WRITTEN}
), leaving AS MATERIALIZED (
    SELECT q.run_id
    FROM fence, unnest($18::text::uuid[], $19::text::bigint[]) AS u(run_id, gen) CROSS JOIN LATERAL (
        SELECT run_id FROM run_queue WHERE run_id = u.run_id AND owner IS NOT DISTINCT FROM $1 AND gen = u.gen
        FOR UPDATE SKIP LOCKED
    ) q
), finished AS (
    DELETE FROM run_queue q WHERE q.run_id = ANY (ARRAY(SELECT run_id FROM leaving)) RETURNING q.run_id
)
SELECT (SELECT count(*) FROM fence) AS fenced,
    (SELECT count(*) FROM appended) AS appended,
    (SELECT coalesce(array_agg(run_id), '{{}}') FROM finished) AS finished,
    '{{}}'::uuid[] AS parked, '{{}}'::uuid[] AS moved
"""  # noqa: S608  (constants only)

# The solo lane's fence: the same lock as the append's. The run is found by its key: joined by its owner, all runs that
# the session has were read for one.
FENCE = f"""
SELECT s.id FROM worker_session s WHERE s.id = $1 AND s.timeline = {_TIMELINE}
    AND (SELECT true FROM run_queue q WHERE q.run_id = $2 AND q.owner IS NOT DISTINCT FROM $1)
FOR KEY SHARE
"""  # noqa: S608  (constants only)

# The primary key consumes the approval once. Our own earlier try (same run, same path) may use it again for the same
# call; it is on the disk by then, as whoever owned the run before us was fenced first.
USE_APPROVAL = """
WITH used AS (
    INSERT INTO approval_use (review_id, org_id, run_id, path, seq, digest, effect_digest)
    VALUES ($1, $2, $3, $4, $5, $6, $7)
    ON CONFLICT (review_id) DO NOTHING RETURNING review_id
)
SELECT review_id FROM used
UNION ALL SELECT review_id FROM approval_use WHERE review_id = $1 AND run_id = $3 AND path = $4
    AND coalesce(effect_digest, $7) = $7
"""

KEY_GENERATION = "SELECT generation FROM effect_key WHERE org_id = $1 AND key = $2"

# Moves on from the generation that was undone, not from whatever there is: two runs that shared one effect by its key
# undo the same one.
NEXT_GENERATION = """
INSERT INTO effect_key (org_id, key, generation) VALUES ($1, $2, $3)
ON CONFLICT (org_id, key) DO UPDATE SET generation = greatest(effect_key.generation, excluded.generation)
"""


ViewRow = tuple[UUID, str, str | None, str, str | None, str, datetime, datetime | None, int]
SearchRow = tuple[UUID, UUID, str, str | None, int | None, float | None, datetime | None]


@dataclass(slots=True)
class Columns:
    """The rows of one append, as the arrays that the statement takes."""

    events: list[tuple[UUID, int, str, datetime, bytes, UUID]] = field(default_factory=fresh_list)
    views: list[ViewRow] = field(default_factory=fresh_list)
    attributes: dict[tuple[UUID, str], SearchRow] = field(default_factory=fresh_dict)
    words: set[tuple[UUID, UUID, str]] = field(default_factory=fresh_set)
    drained: list[tuple[UUID, UUID]] = field(default_factory=fresh_list)
    finished: list[tuple[UUID, int]] = field(default_factory=fresh_list)
    parked: list[tuple[UUID, int, datetime, bool, int | None]] = field(default_factory=fresh_list)
    keys: list[tuple[UUID, UUID, str, int]] = field(default_factory=fresh_list)


@dataclass(frozen=True, slots=True)
class Appended:
    """What an append did. `alive` is false where the session was declared dead; then nothing was written.

    Nothing was written either of the runs in `moved`: the key of an effect of theirs has another generation by now.
    """

    alive: bool
    events: int
    finished: frozenset[UUID]
    parked: frozenset[UUID]
    moved: frozenset[UUID] = frozenset()


@contextmanager
def mapped_errors() -> Generator[None]:
    """The driver's errors as ours: a conflict is about the rows, anything about the connection is unavailability."""
    with translated():
        try:
            yield
        except (UniqueViolation, DeadlockDetected) as error:
            raise ConflictError(f"the journal refused a row: {error}") from error


class _UsedError(Exception):
    """Takes the approvals of one intent back."""


async def use_approvals(connection: Connection, uses: Sequence[tuple[str, UUID, UUID, str, int, str, str]]) -> bool:
    """Consume approvals, all of them or none; false where one was used for another effect."""
    try:
        async with connection.transaction():  # within the caller's: a savepoint
            for use in uses:
                if await connection.fetchval(USE_APPROVAL, *use) is None:
                    raise _UsedError  # noqa: TRY301  (it has to leave the savepoint)
    except _UsedError:
        return False
    return True


_BY_KEY = itemgetter(0, 1)
_EPOCH, _MICROSECOND, _NULL = datetime(1970, 1, 1, tzinfo=UTC), timedelta(microseconds=1), "NULL"


def _transposed(rows: Sequence[Sequence[Any]], width: int) -> list[list[Any]]:
    return [list(column) for column in zip(*rows, strict=True)] if rows else [[] for _ in range(width)]


def written(values: Iterable[Any]) -> str:
    """An array as PostgreSQL's text of it, of what needs no quotes: ids, numbers, names of the engine's own.

    The driver looks at each element of a list twice before it encodes it; a third of a wake-up's encoding was that.
    """
    return "{" + ",".join(map(str, values)) + "}"


def _in_microseconds(moments: Iterable[datetime | None]) -> str:
    """Microseconds since 1970: moments are by far the dearest for the driver to encode."""
    return written([_NULL if moment is None else (moment - _EPOCH) // _MICROSECOND for moment in moments])


async def append(connection: Connection, session_id: UUID, columns: Columns) -> Appended:
    """Write one group commit.

    Raises:
        ConflictError: a row is there already or a deadlock was broken; nothing of the batch was written.
        UnavailableError: the connection was lost; whether the batch was written is not known.
    """
    rows = sorted(columns.events, key=_BY_KEY)  # in any other order two batches would wait for each other
    run_ids, seqs, event_kinds, moments, data, org_ids = _transposed(rows, 6)
    events = written(run_ids), written(seqs), written(event_kinds), _in_microseconds(moments), data, written(org_ids)
    of, *shown, updated_at, ended_at, data_classes = _transposed(columns.views, 9)
    views = written(of), *shown, _in_microseconds(updated_at), _in_microseconds(ended_at), written(data_classes)
    finished = [written(column) for column in _transposed(columns.finished, 2)]
    concerned = written({*run_ids, *of, *map(itemgetter(0), columns.drained)})
    searched: list[list[Any]] = []
    if columns.attributes or columns.words:
        searched = [*_transposed(list(columns.attributes.values()), 7), *_transposed(list(columns.words), 3)]
    with mapped_errors():
        if searched or columns.drained or columns.parked or columns.keys:
            row = await connection.fetchrow(
                APPEND_SEARCHED if searched else APPEND,
                session_id,
                concerned,
                *events,
                *views,
                *finished,
                *_transposed(columns.drained, 2),
                *_transposed(columns.parked, 5),
                *_transposed(columns.keys, 4),
                *searched,
            )
        else:
            row = await connection.fetchrow(APPEND_PLAIN, session_id, concerned, *events, *views, *finished)
    assert row is not None
    gone, parked, moved = (frozenset(row[name]) for name in ("finished", "parked", "moved"))
    return Appended(row["fenced"] == 1, row["appended"], gone, parked, moved)
