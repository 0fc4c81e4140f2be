"""The SQL of admission: turns, slots, token buckets. What makes turns is a trigger of `0013.starts.sql`."""

# Queues with something to look at, the longest overdue first; an index range of a table that is empty at rest.
DUE_QUEUES = """
SELECT org_id, queue FROM queue_turn WHERE due_at <= $1 GROUP BY org_id, queue ORDER BY min(due_at) LIMIT $2
"""

# No row of turns where nothing is due ever: `greatest` passes over a null, so a minimum of none would be long overdue.
# One statement for both, as every wake-up of a worker asks.
NEXT_LOOK = """
SELECT least(
    (SELECT greatest(due_at, '1970-01-01'::timestamptz) FROM queue_turn ORDER BY due_at LIMIT 1),
    (SELECT min(due_at) FROM start_debounced)
)
"""

# One admission at a time of each queue; the next one waits, and then sees what this one left.
LOCK_QUEUE = "SELECT limits, paused_at FROM queue WHERE org_id = $1 AND queue = $2 FOR UPDATE"

# Taken in the transaction that acts on them: where it fails, they are there again. An array here and below, as IN makes
# a join: of a table that was empty when PostgreSQL last looked at it, each row was compared with each that was chosen.
TAKE_TURNS = """
DELETE FROM queue_turn WHERE turn_id = ANY (ARRAY(
    SELECT turn_id FROM queue_turn WHERE org_id = $1 AND queue = $2 AND due_at <= $3 ORDER BY due_at LIMIT $4
)) RETURNING queue_key
"""

POSTPONE_TURNS = "UPDATE queue_turn SET due_at = $4 WHERE org_id = $1 AND queue = $2 AND due_at <= $3"

ADD_TURN = "INSERT INTO queue_turn (org_id, queue, queue_key, due_at) VALUES ($1, $2, $3, $4)"

# A turn for what is at the gates and due only later, by the clock of whoever looks: the turn that it came with may have
# been taken by a worker whose clock is ahead, when there was no slot. The first of each lane or key, by their indexes;
# none where an earlier turn will look all the same.
TURN_LATER = """
WITH RECURSIVE lane AS (
    (SELECT team, priority FROM run_queue WHERE org_id = $1 AND queue = $2 AND gate = 'queue'
     ORDER BY team, priority LIMIT 1)
    UNION ALL
    SELECT next.team, next.priority FROM lane CROSS JOIN LATERAL (
        SELECT q.team, q.priority FROM run_queue q
        WHERE q.org_id = $1 AND q.queue = $2 AND q.gate = 'queue' AND (q.team, q.priority) > (lane.team, lane.priority)
        ORDER BY q.team, q.priority LIMIT 1
    ) next
), later AS (
    SELECT first.due_at FROM lane CROSS JOIN LATERAL (
        SELECT q.due_at FROM run_queue q
        WHERE q.org_id = $1 AND q.queue = $2 AND q.gate = 'queue' AND q.team = lane.team AND q.priority = lane.priority
            AND q.due_at > $3
        ORDER BY q.due_at LIMIT 1
    ) first
    UNION ALL
    (SELECT due_at FROM run_queue WHERE org_id = $1 AND queue = $2 AND gate = 'back' AND due_at > $3
     ORDER BY due_at LIMIT 1)
)
INSERT INTO queue_turn (org_id, queue, due_at)
SELECT $1, $2, first.due_at FROM (SELECT min(due_at) AS due_at FROM later) first
WHERE first.due_at IS NOT NULL AND NOT EXISTS (
    SELECT 1 FROM queue_turn t WHERE t.org_id = $1 AND t.queue = $2 AND t.due_at <= first.due_at
)
"""
KEY_TURNS_LATER = """
INSERT INTO queue_turn (org_id, queue, queue_key, due_at)
SELECT $1, $2, wanted.label, later.due_at FROM unnest($3::text[]) AS wanted(label) CROSS JOIN LATERAL (
    SELECT min(first.due_at) AS due_at FROM generate_series(1, 9) AS of(priority) CROSS JOIN LATERAL (
        SELECT q.due_at FROM run_queue q
        WHERE q.org_id = $1 AND q.queue = $2 AND q.gate = 'key' AND q.queue_key = wanted.label
            AND q.priority = of.priority AND q.due_at > $4
        ORDER BY q.due_at LIMIT 1
    ) first
) later
WHERE later.due_at IS NOT NULL AND NOT EXISTS (
    SELECT 1 FROM queue_turn t
    WHERE t.org_id = $1 AND t.queue = $2 AND t.queue_key = wanted.label AND t.due_at <= later.due_at
)
"""

# The number beside the bound, in case it was lowered while runs hold slots beyond it. Bounded by the bound itself;
# exact, because slots are only added under the queue's lock.
USED_SLOTS = """
SELECT label, slot FROM queue_slot WHERE org_id = $1 AND queue = $2 AND scope = $3 AND label = ANY($4::text[])
"""

# The next of each key, in order; as many as its free slots and tokens allow.
NEXT_OF_KEYS = """
SELECT next.run_id, wanted.label FROM unnest($3::text[], $4::int[]) AS wanted(label, free)
CROSS JOIN LATERAL (
    SELECT q.run_id FROM run_queue q
    WHERE q.org_id = $1 AND q.queue = $2 AND q.gate = 'key' AND q.queue_key = wanted.label AND q.due_at <= $5
    ORDER BY q.priority, q.due_at LIMIT wanted.free
) next
"""

# The teams that have runs at the queue's gate: a loose scan, however many runs each has.
TEAMS = """
WITH RECURSIVE lane AS (
    (SELECT team FROM run_queue WHERE org_id = $1 AND queue = $2 AND gate = 'queue' ORDER BY team LIMIT 1)
    UNION ALL
    SELECT next.team FROM lane CROSS JOIN LATERAL (
        SELECT q.team FROM run_queue q WHERE q.org_id = $1 AND q.queue = $2 AND q.gate = 'queue' AND q.team > lane.team
        ORDER BY q.team LIMIT 1
    ) next
)
SELECT team FROM lane
"""

# A few of each team, those with the fewest slots first, and by lot between equals: a single slot that comes free again
# and again would otherwise always go to the team that sorts first. `$5` is what each team may still have.
CANDIDATES = """
WITH RECURSIVE allowed AS MATERIALIZED (
    SELECT * FROM unnest($3::text[], $4::int[], $5::int[]) AS t(team, used, free) WHERE free > 0
), lane AS (
    SELECT first.team, first.priority FROM allowed CROSS JOIN LATERAL (
        SELECT q.team, q.priority FROM run_queue q
        WHERE q.org_id = $1 AND q.queue = $2 AND q.gate = 'queue' AND q.team = allowed.team
        ORDER BY q.priority LIMIT 1
    ) first
    UNION ALL
    SELECT next.team, next.priority FROM lane CROSS JOIN LATERAL (
        SELECT q.team, q.priority FROM run_queue q
        WHERE q.org_id = $1 AND q.queue = $2 AND q.gate = 'queue' AND q.team = lane.team AND q.priority > lane.priority
        ORDER BY q.priority LIMIT 1
    ) next
), candidate AS (
    SELECT due.*, lane.team, lane.priority FROM lane CROSS JOIN LATERAL (
        SELECT q.run_id, q.due_at FROM run_queue q
        WHERE q.org_id = $1 AND q.queue = $2 AND q.gate = 'queue' AND q.team = lane.team AND q.priority = lane.priority
            AND q.due_at <= $6
        ORDER BY q.due_at LIMIT $7
    ) due
), placed AS (
    SELECT *, row_number() OVER (PARTITION BY team ORDER BY priority, due_at) AS place FROM candidate
)
SELECT run_id, team FROM placed JOIN allowed USING (team)
WHERE place <= free ORDER BY used + place, random() LIMIT $7
"""

# What is under way already goes before what is new, and needs no token: it has begun.
COMING_BACK = """
SELECT run_id, team FROM run_queue WHERE org_id = $1 AND queue = $2 AND gate = 'back' AND due_at <= $3
    AND ($5::int IS NULL OR $5 > (
        SELECT count(*) FROM queue_slot s
        WHERE s.org_id = $1 AND s.queue = $2 AND s.scope = 'team' AND s.label = run_queue.team
    ))
ORDER BY due_at LIMIT $4
"""

# Rows that a message has let past the gate in between are not there any more, and get no slot. `IS NOT DISTINCT FROM`
# is no use of the index of those that wait for their keys, which was read whole.
PROMOTE = """
UPDATE run_queue SET gate = 'queue' WHERE run_id = ANY($1::uuid[]) AND gate IS NOT DISTINCT FROM 'key'
RETURNING run_id
"""
ADMIT = """
UPDATE run_queue SET gate = NULL, due_at = $2, admitted_at = coalesce(admitted_at, $2)
WHERE run_id = ANY($1::uuid[]) AND gate IN ('queue', 'back') RETURNING run_id
"""

TAKE_SLOTS = """
INSERT INTO queue_slot (org_id, queue, scope, label, slot, run_id)
SELECT $1, $2, $3, u.* FROM unnest($4::text[], $5::int[], $6::uuid[]) AS u(label, slot, run_id)
"""

BUCKETS = """
SELECT label, tokens, filled_at FROM queue_bucket
WHERE org_id = $1 AND queue = $2 AND scope = $3 AND label = ANY($4::text[])
"""

# Workers' clocks differ: one that is a little behind does not turn the bucket's back, or the next one in front would
# count the time between them again, and again. One that is far behind does: it was the other clock that ran away.
FILL_BUCKETS = """
INSERT INTO queue_bucket AS b (org_id, queue, scope, label, tokens, filled_at)
SELECT $1, $2, $3, u.*, $6 FROM unnest($4::text[], $5::float8[]) AS u(label, tokens)
ON CONFLICT (org_id, queue, scope, label) DO UPDATE SET tokens = excluded.tokens, filled_at = CASE
    WHEN b.filled_at <= excluded.filled_at + make_interval(secs => $7) THEN greatest(b.filled_at, excluded.filled_at)
    ELSE excluded.filled_at END
"""

# A bucket that nobody took from for so long is full again: the row says nothing any more.
FORGET_BUCKETS = """
DELETE FROM queue_bucket WHERE ctid = ANY (ARRAY(
    SELECT ctid FROM queue_bucket WHERE filled_at < $1 LIMIT $2 FOR UPDATE SKIP LOCKED
))
"""

# After the bounds have changed everything that waits is looked at anew: the keys by a loose scan.
TURN_EVERYTHING = """
WITH RECURSIVE lane AS (
    (SELECT queue_key FROM run_queue WHERE org_id = $1 AND queue = $2 AND gate = 'key' ORDER BY queue_key LIMIT 1)
    UNION ALL
    SELECT next.queue_key FROM lane CROSS JOIN LATERAL (
        SELECT q.queue_key FROM run_queue q
        WHERE q.org_id = $1 AND q.queue = $2 AND q.gate = 'key' AND q.queue_key > lane.queue_key
        ORDER BY q.queue_key LIMIT 1
    ) next
)
INSERT INTO queue_turn (org_id, queue, queue_key, due_at)
SELECT $1, $2, queue_key, $3::timestamptz FROM lane UNION ALL SELECT $1, $2, NULL, $3::timestamptz
"""

# Bounded by what is asked for, and asked at most once a second: index-only, lane by lane, so parked runs are not read.
COUNT_WAITING = """
WITH RECURSIVE lane AS (
    (SELECT team, priority FROM run_queue WHERE owner IS NULL AND gate IS NULL AND org_id = $1
     ORDER BY team, priority LIMIT 1)
    UNION ALL
    SELECT next.* FROM lane CROSS JOIN LATERAL (
        SELECT q.team, q.priority FROM run_queue q
        WHERE q.owner IS NULL AND q.gate IS NULL AND q.org_id = $1
            AND (q.team, q.priority) > (lane.team, lane.priority)
        ORDER BY q.team, q.priority LIMIT 1
    ) next
), due AS (
    SELECT FROM lane CROSS JOIN LATERAL (
        SELECT FROM run_queue q WHERE q.owner IS NULL AND q.gate IS NULL
            AND q.org_id = $1 AND q.team = lane.team AND q.priority = lane.priority AND q.due_at <= $2 LIMIT $3
    ) of_lane
    UNION ALL (SELECT FROM run_queue WHERE org_id = $1 AND gate = 'queue' LIMIT $3)
    UNION ALL (SELECT FROM run_queue WHERE org_id = $1 AND gate = 'key' LIMIT $3)
)
SELECT count(*) FROM (SELECT FROM due LIMIT $3) bounded
"""

COUNT_QUEUE = """
SELECT count(*) FROM (
    (SELECT FROM run_queue WHERE org_id = $1 AND queue = $2 AND gate = 'queue' LIMIT $3)
    UNION ALL (SELECT FROM run_queue WHERE org_id = $1 AND queue = $2 AND gate = 'key' LIMIT $3)
) waiting
"""

# --- debounced starts ------------------------------------------------------------------------------------------------

# Taken and started in one transaction: a second worker skips the row, and a crash leaves it.
DUE_DEBOUNCED = """
SELECT org_id, project, workflow, key, run_id, starts, request FROM start_debounced
WHERE due_at <= $1 ORDER BY due_at LIMIT $2 FOR UPDATE SKIP LOCKED
"""

DROP_DEBOUNCED = """
DELETE FROM start_debounced WHERE org_id = $1 AND project = $2 AND workflow = $3 AND key = $4
"""

POSTPONE_DEBOUNCED = """
UPDATE start_debounced SET due_at = $5 WHERE org_id = $1 AND project = $2 AND workflow = $3 AND key = $4
"""

# A window that is over says nothing; in bounded batches, beside whatever holds a row.
FORGET_DEDUPLICATED = """
DELETE FROM start_deduplicated WHERE ctid = ANY (ARRAY(
    SELECT ctid FROM start_deduplicated WHERE until < $1 LIMIT $2 FOR UPDATE SKIP LOCKED
))
"""

# --- schedules -------------------------------------------------------------------------------------------------------

# Environments that point at another release than the one whose queues and schedules are in force. In an order, from
# where the look before stopped: releases that cannot be read stay in this list, and must not fill it.
TO_APPLY = """
SELECT e.org_id, e.project FROM environment e LEFT JOIN starts_applied a
    ON a.org_id = e.org_id AND a.project = e.project AND a.environment = e.name
WHERE e.name = $1 AND a.release IS DISTINCT FROM e.release
    AND ($3::uuid IS NULL OR (e.org_id, e.project) > ($3, $4))
ORDER BY e.org_id, e.project LIMIT $2
"""

# Shared, so that nobody deploys in between: what is applied is what the environment points at.
RELEASE_TO_APPLY = """
SELECT release FROM environment WHERE org_id = $1 AND project = $2 AND name = $3 FOR SHARE
"""

MARK_APPLIED = """
INSERT INTO starts_applied (org_id, project, environment, release) VALUES ($1, $2, $3, $4)
ON CONFLICT (org_id, project, environment) DO UPDATE SET release = excluded.release
    WHERE starts_applied.release <> excluded.release
RETURNING release
"""

APPLIED_QUEUES = "SELECT queue, limits FROM queue WHERE org_id = $1 AND starts_with(queue, $2) FOR UPDATE"

# A pause by a person outlives deploys, but not the queue: what waits in one that is declared no more may go.
PUT_QUEUE = """
INSERT INTO queue (org_id, queue, limits, declared) VALUES ($1, $2, $3, $4)
ON CONFLICT (org_id, queue) DO UPDATE SET limits = excluded.limits, declared = excluded.declared,
    paused_at = CASE WHEN excluded.declared THEN queue.paused_at END,
    paused_by = CASE WHEN excluded.declared THEN queue.paused_by END,
    paused_reason = CASE WHEN excluded.declared THEN queue.paused_reason END
"""

APPLIED_SCHEDULES = """
SELECT name, spec FROM schedule WHERE org_id = $1 AND environment = $2 AND project = $3 FOR UPDATE
"""

# Another timetable begins to count now; where only other things changed, times of a downtime are not forgotten.
PUT_SCHEDULE = """
INSERT INTO schedule AS s (org_id, environment, project, name, workflow, spec, next_at)
VALUES ($1, $2, $3, $4, $5, $6, $7)
ON CONFLICT (org_id, environment, project, name) DO UPDATE SET workflow = excluded.workflow, spec = excluded.spec,
    version = s.version + 1,
    next_at = CASE WHEN s.paused_at IS NOT NULL THEN NULL WHEN $8 THEN excluded.next_at ELSE s.next_at END
"""

DROP_SCHEDULE = "DELETE FROM schedule WHERE org_id = $1 AND environment = $2 AND project = $3 AND name = $4"

DUE_SCHEDULES = """
SELECT org_id, project, name, next_at FROM schedule WHERE environment = $1 AND next_at <= $2
    AND ($4::timestamptz IS NULL OR (next_at, org_id, project, name) > ($4, $5, $6, $7))
ORDER BY next_at, org_id, project, name LIMIT $3
"""

# Those whose times wait for the run before them, which has ended. A pause holds them too.
TO_GO_ON = """
SELECT DISTINCT s.org_id, s.project, s.name FROM schedule_firing f
JOIN schedule s USING (org_id, environment, project, name)
WHERE f.environment = $1 AND f.status = 'waiting' AND s.paused_at IS NULL AND NOT (s.spec -> 'paused')::boolean
    AND NOT EXISTS (SELECT FROM run_queue q WHERE q.run_id = s.last_run_id)
LIMIT $2
"""

NEXT_SCHEDULE = "SELECT min(next_at) FROM schedule WHERE environment = $1 AND next_at IS NOT NULL"

# One worker at a time; the others go on with the next one.
LOCK_SCHEDULE = """
SELECT spec, next_at, last_run_id, version FROM schedule
WHERE org_id = $1 AND environment = $2 AND project = $3 AND name = $4 FOR UPDATE SKIP LOCKED
"""

# Waits for whoever is at it: two requests with one key are one after the other.
HOLD_SCHEDULE = """
SELECT name FROM schedule WHERE org_id = $1 AND environment = $2 AND project = $3 AND name = $4 FOR UPDATE
"""
RUN_OF_KEY = "SELECT run_id FROM run WHERE org_id = $1 AND idempotency_key = $2"
KEYS_USED = "SELECT idempotency_key FROM run WHERE org_id = $1 AND idempotency_key = ANY($2::text[])"

# The fence: it moves on only from the time that was looked at.
MOVE_ON = """
UPDATE schedule SET next_at = $6
WHERE org_id = $1 AND environment = $2 AND project = $3 AND name = $4 AND next_at = $5 RETURNING name
"""

REMEMBER_RUN = """
UPDATE schedule SET last_run_id = $5 WHERE org_id = $1 AND environment = $2 AND project = $3 AND name = $4
"""

IS_ACTIVE = "SELECT EXISTS (SELECT FROM run_queue WHERE run_id = $1)"

WAITING = """
SELECT nominal_at, cause FROM schedule_firing
WHERE org_id = $1 AND environment = $2 AND project = $3 AND name = $4 AND status = 'waiting'
ORDER BY nominal_at LIMIT $5
"""

RECORD = """
INSERT INTO schedule_firing (org_id, environment, project, name, nominal_at, cause, status, recorded_at, run_id, detail)
VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10)
ON CONFLICT (org_id, environment, project, name, nominal_at, cause) DO UPDATE SET status = excluded.status,
    recorded_at = excluded.recorded_at, run_id = excluded.run_id, detail = excluded.detail
"""

# The latest firings of a schedule are kept; what waits is kept in any case.
FORGET_FIRINGS = """
DELETE FROM schedule_firing
WHERE org_id = $1 AND environment = $2 AND project = $3 AND name = $4 AND status <> 'waiting' AND nominal_at < (
    SELECT nominal_at FROM schedule_firing
    WHERE org_id = $1 AND environment = $2 AND project = $3 AND name = $4 ORDER BY nominal_at DESC OFFSET $5 LIMIT 1
)
"""

_SCHEDULE = """
SELECT project, name, workflow, spec, version, next_at, paused_at, paused_by, paused_reason, last_run_id FROM schedule
"""

LIST_SCHEDULES = (
    _SCHEDULE
    + """WHERE org_id = $1 AND environment = $2 AND ($3::text IS NULL OR (project, name) > ($3, $4))
ORDER BY project, name LIMIT $5"""
)

READ_SCHEDULE = _SCHEDULE + "WHERE org_id = $1 AND environment = $2 AND project = $3 AND name = $4"

FIRINGS = """
SELECT nominal_at, cause, status, recorded_at, run_id, detail FROM schedule_firing
WHERE org_id = $1 AND environment = $2 AND project = $3 AND name = $4 ORDER BY nominal_at DESC LIMIT $5
"""

PAUSE = """
UPDATE schedule SET paused_at = $5, paused_by = $6, paused_reason = $7, next_at = NULL, version = version + 1
WHERE org_id = $1 AND environment = $2 AND project = $3 AND name = $4 AND paused_at IS NULL RETURNING name
"""

RESUME = """
UPDATE schedule SET paused_at = NULL, paused_by = NULL, paused_reason = NULL, next_at = $5, version = version + 1
WHERE org_id = $1 AND environment = $2 AND project = $3 AND name = $4 AND paused_at IS NOT NULL RETURNING name
"""
