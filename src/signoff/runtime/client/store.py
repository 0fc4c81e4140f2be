"""The control plane's SQL on the engine's tables. All of it runs as the app role, inside one organisation."""

# Facts, queue, projection and first event in one statement: a run exists wholly or not at all. The conflict clause
# makes the second start with one key insert nothing anywhere. `$19`: the run that it comes from has its environment.
START = """
WITH started AS (
    INSERT INTO run (run_id, org_id, workflow, workflow_version, release, idempotency_key, request_digest,
        started_by, started_at, environment)
    VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, coalesce($18, (SELECT environment FROM run WHERE run_id = $19)))
    ON CONFLICT (org_id, idempotency_key) WHERE idempotency_key IS NOT NULL DO NOTHING
    RETURNING run_id
), queued AS (
    INSERT INTO run_queue (run_id, org_id, priority, due_at, team, queue, queue_key, gate, yields, not_before,
        journal_bytes)
    SELECT run_id, $2, $10, coalesce($17, $9), $12, $13, $14, $15, $16, $17, octet_length($11::bytea) FROM started
), viewed AS (
    INSERT INTO run_view (run_id, org_id, workflow, status, started_at, updated_at)
    SELECT run_id, $2, $3, 'queued', $9, $9 FROM started
), journaled AS (
    INSERT INTO journal (org_id, run_id, seq, kind, recorded_at, data)
    SELECT $2, run_id, 1, 'run.started', $9, $11 FROM started
)
SELECT run_id FROM started
"""

# What a start gives to search by; most give nothing, and their statement stays as it is.
ATTRIBUTE = """
INSERT INTO run_attribute (org_id, run_id, name, text_value, integer_value, number_value, moment_value)
VALUES ($1, $2, $3, $4, $5, $6, $7)
"""

WORDS = "INSERT INTO run_word (org_id, run_id, word) SELECT $1, $2, word FROM unnest($3::text[]) AS word"

# Seen by the second start with one key; the row may have been committed after the insert above began.
BY_KEY = "SELECT run_id, request_digest, started_by FROM run WHERE org_id = $1 AND idempotency_key = $2"

# Decision 0002, rule 5: the sender moves the generation, so that an owner about to park or finish sees that it must
# look again. No row: the run has ended (or never was).
# A run that is delayed does not begin early for a message. `$4`: it is asked to end. One that has not begun does so at
# once, without a slot: it only journals that it ended.
BUMP = """
UPDATE run_queue SET gen = gen + 1,
    due_at = CASE WHEN $4 THEN least(due_at, $3) ELSE greatest(least(due_at, $3), not_before) END,
    not_before = CASE WHEN $4 THEN NULL ELSE not_before END,
    gate = CASE WHEN $4 AND gate <> 'back' THEN NULL ELSE gate END
WHERE org_id = $1 AND run_id = $2 RETURNING gen
"""

# At once also where it waits for a slot to go on with: it does nothing more with one.
BUMP_TO_TERMINATE = BUMP.replace("$4 AND gate <> 'back'", "$4")

# The queue as the starting release has it, where no worker has applied a release yet.
ENSURE_QUEUE = """
INSERT INTO queue (org_id, queue, limits) VALUES ($1, $2, $3) ON CONFLICT (org_id, queue) DO NOTHING
"""

# The first start in a window inserts or renews the row; a second one at the same time waits for it and changes nothing.
DEDUPLICATE = """
INSERT INTO start_deduplicated (org_id, project, workflow, key, run_id, until) VALUES ($1, $2, $3, $4, $5, $6)
ON CONFLICT (org_id, project, workflow, key) DO UPDATE SET run_id = excluded.run_id, until = excluded.until
    WHERE start_deduplicated.until <= $7
RETURNING run_id
"""
DEDUPLICATED = """
SELECT run_id FROM start_deduplicated WHERE org_id = $1 AND project = $2 AND workflow = $3 AND key = $4
"""

# The row of the first start keeps its run id and the end of the longest wait; the rest is the latest start's.
DEBOUNCE = """
INSERT INTO start_debounced AS waiting (org_id, project, workflow, key, run_id, first_at, due_at, starts, request)
VALUES ($1, $2, $3, $4, $5, $6, $6::timestamptz + make_interval(secs => $7), 1, $9)
ON CONFLICT (org_id, project, workflow, key) DO UPDATE SET starts = waiting.starts + 1, request = excluded.request,
    due_at = least(excluded.due_at, waiting.first_at + make_interval(secs => $8))
RETURNING run_id, due_at, starts
"""

SEND = """
INSERT INTO inbox (message_id, org_id, run_id, path, kind, sent_by, sent_at, data, place)
SELECT $1, $2, $3, $4, $5, $6, $7, $8, gen FROM run_queue WHERE run_id = $3 ON CONFLICT (message_id) DO NOTHING
"""

INBOX_SIZE = "SELECT count(*) FROM inbox WHERE run_id = $1"

EXISTS = "SELECT status FROM run_view WHERE org_id = $1 AND run_id = $2"

# A run that ended and goes on: back in the queue, and for lists as if it had just been started. The second of two at
# once finds nothing to bring back; a run that has not ended is in the queue anyway, and one may be there still whose
# worker found a message as it ended: that one goes on by itself with the message that follows. Its row is locked first,
# as senders and that worker do. It stands behind its queue's gate again: whoever retries a thousand runs at once means
# no more of them at the service behind the queue than ever.
REVIVE = """
WITH held AS MATERIALIZED (
    SELECT run_id FROM run_queue WHERE org_id = $1 AND run_id = $2 FOR UPDATE
), again AS (
    UPDATE run_view SET status = 'queued', outcome = NULL, ended_at = NULL, updated_at = $3
    WHERE org_id = $1 AND run_id = $2 AND status IN ('failed', 'cancelled', 'terminated')
        AND (SELECT count(*) FROM held) >= 0
    RETURNING run_id, org_id
)
INSERT INTO run_queue (run_id, org_id, priority, due_at, team, queue, queue_key, gate, yields)
SELECT run_id, org_id, $4, $3, $5, $6, $7, $8, $9 FROM again WHERE NOT EXISTS (SELECT FROM held)
RETURNING run_id
"""

QUEUE_LIMITS = "SELECT limits FROM queue WHERE org_id = $1 AND queue = $2"

PRIORITISE = "UPDATE run_queue SET priority = $3 WHERE org_id = $1 AND run_id = $2 RETURNING run_id"

# Of runs that somebody waits for, those that have ended; what they are is read as whoever asked.
ENDED_OF = "SELECT run_id FROM run_view WHERE run_id = ANY($1::uuid[]) AND ended_at IS NOT NULL"

# A fork's past, byte for byte; nobody sees the run before the transaction commits, so nobody else writes to it.
COPY_JOURNAL = """
INSERT INTO journal (org_id, run_id, seq, kind, recorded_at, data)
SELECT org_id, $3, seq, kind, recorded_at, data FROM journal
WHERE org_id = $1 AND run_id = $2 AND seq > 1 AND seq <= $4
"""

# What the source's tokens stand for, of the run at the top of those that called it: so that steps of the fork that give
# again what was recorded can be shown to the same tools. The fork's own from then on, and kept as long as the fork.
COPY_VAULT = """
INSERT INTO run_vault (org_id, run_id, nonce, tokens, key_id)
SELECT v.org_id, $3, v.nonce, v.tokens, v.key_id FROM run_vault v JOIN signoff_callers($1, $2) AS up USING (run_id)
WHERE v.org_id = $1 ORDER BY up.height DESC LIMIT 1
"""
APPEND_EVENT = "INSERT INTO journal (org_id, run_id, seq, kind, recorded_at, data) VALUES ($1, $2, $3, $4, $5, $6)"

# Where a run is in the queue, for its explanation. Those ahead of it are counted no further than `$3`: of its key or
# its team at a gate, else those of its team and priority, which is a range of the index that claims walk.
PLACE = """
SELECT q.due_at, q.priority, q.team, q.queue, q.queue_key, q.gate, q.not_before, s.host, s.process_id,
    s.started_at AS host_since, s.expires_at AS host_until,
    (SELECT count(*) FROM worker_session WHERE expires_at > now()) AS workers,
    (SELECT count(*) FROM inbox i WHERE i.run_id = q.run_id) AS messages,
    CASE q.gate
        WHEN 'key' THEN (SELECT count(*) FROM (
            SELECT FROM run_queue o WHERE o.org_id = q.org_id AND o.queue = q.queue AND o.gate = 'key'
                AND o.queue_key = q.queue_key AND (o.priority, o.due_at) < (q.priority, q.due_at) LIMIT $3
        ) before)
        WHEN 'queue' THEN (SELECT count(*) FROM (
            SELECT FROM run_queue o WHERE o.org_id = q.org_id AND o.queue = q.queue AND o.gate = 'queue'
                AND o.team = q.team AND (o.priority, o.due_at) < (q.priority, q.due_at) LIMIT $3
        ) before)
        WHEN 'back' THEN (SELECT count(*) FROM (
            SELECT FROM run_queue o WHERE o.org_id = q.org_id AND o.queue = q.queue AND o.gate = 'back'
                AND o.due_at < q.due_at LIMIT $3
        ) before)
        ELSE (SELECT count(*) FROM (
            SELECT FROM run_queue o WHERE o.org_id = q.org_id AND o.team = q.team AND o.priority = q.priority
                AND o.owner IS NULL AND o.gate IS NULL AND o.due_at < q.due_at LIMIT $3
        ) before)
    END AS ahead
FROM run_queue q LEFT JOIN worker_session s ON s.id = q.owner
WHERE q.org_id = $1 AND q.run_id = $2
"""

# How a queue stands for a run of that team and key; teams at its gate by a loose scan, up to `$3`.
STANDING = """
WITH RECURSIVE lane AS (
    (SELECT team, 1 AS place FROM run_queue WHERE org_id = $1 AND queue = $2 AND gate = 'queue' ORDER BY team LIMIT 1)
    UNION ALL
    SELECT next.team, lane.place + 1 FROM lane CROSS JOIN LATERAL (
        SELECT q.team FROM run_queue q WHERE q.org_id = $1 AND q.queue = $2 AND q.gate = 'queue' AND q.team > lane.team
        ORDER BY q.team LIMIT 1
    ) next WHERE lane.place < $3
)
SELECT u.limits, u.paused_by, u.paused_reason, (SELECT count(*) FROM lane) AS teams FROM queue u
WHERE u.org_id = $1 AND u.queue = $2
"""
USES = """
SELECT wanted.scope, b.tokens, b.filled_at, (
    SELECT count(*)::int FROM queue_slot s
    WHERE s.org_id = $1 AND s.queue = $2 AND s.scope = wanted.scope AND s.label = wanted.label
) AS slots
FROM (VALUES ('queue', ''), ('team', $3::text), ('key', $4::text)) AS wanted(scope, label)
LEFT JOIN queue_bucket b
    ON b.org_id = $1 AND b.queue = $2 AND b.scope = wanted.scope AND b.label = wanted.label
"""

# A start that waits until its key is quiet has a run's id, and no run yet. Few wait at a time.
DEBOUNCED = """
SELECT key, first_at, due_at, starts, request FROM start_debounced WHERE org_id = $1 AND run_id = $2
"""

# Written by the worker in the transaction that journals the move; what the run started with stays in `run`.
SHOW_RELEASE = "UPDATE run_view SET release = $2, workflow_version = $3 WHERE run_id = $1"

SUMMARY = """
SELECT v.run_id, v.workflow, coalesce(v.workflow_version, r.workflow_version) AS workflow_version,
    coalesce(v.release, r.release) AS release,
    CASE WHEN v.status IN ('queued', 'waiting')
        AND (SELECT owner FROM run_queue q WHERE q.run_id = v.run_id) IS NOT NULL
        THEN 'running' ELSE v.status END AS status,
    v.outcome, v.waiting_for, v.error, v.usage, r.started_by, v.started_at, v.updated_at, v.ended_at
FROM run_view v JOIN run r USING (run_id)
"""

READ = SUMMARY + "WHERE v.org_id = $1 AND v.run_id = $2"

# A page has at least one event, and ends with the one that fills it: sizes are known without reading the data.
JOURNAL = """
SELECT seq, kind, recorded_at, data FROM (
    SELECT seq, kind, recorded_at, data,
        sum(octet_length(data)) OVER (ORDER BY seq) - octet_length(data) AS bytes_before
    FROM journal WHERE org_id = $1 AND run_id = $2 AND seq > $3 ORDER BY seq LIMIT $4
) page WHERE bytes_before < $5 ORDER BY seq
"""

# The lock is held until the commit: events become visible in the order of their places, so a reader's cursor skips none
# that commits late. Per organisation; the transaction has this one statement.
EMIT = """
WITH turn AS MATERIALIZED (SELECT pg_advisory_xact_lock(hashtextextended('emit/' || $2::uuid, 0)))
INSERT INTO emitted_event (event_id, org_id, run_id, path, type, emitted_at, data, labels, place)
SELECT $1, $2, $3, $4, $5, $6, $7, $8, nextval('emitted_event_place') FROM turn
ON CONFLICT (run_id, path) DO NOTHING RETURNING event_id
"""

EVENT_THERE = "SELECT EXISTS (SELECT FROM emitted_event WHERE org_id = $1 AND event_id = $2)"

# The cursor is the id of the last event that the reader has; behind it is what has a later place. `coalesce` is inside,
# as outside it kept the condition out of the index under row-level security: each page read all events before it.
EVENTS = """
SELECT event_id, run_id, type, emitted_at, data FROM emitted_event
WHERE org_id = $1 AND ($3::uuid IS NULL OR run_id = $3)
    AND place > (SELECT coalesce(max(place), 0) FROM emitted_event WHERE org_id = $1 AND event_id = $2)
ORDER BY place LIMIT $4
"""

# For metrics: due runs that no worker has, and those that workers hold. Bounded, as a scrape comes every few seconds.
QUEUE_DEPTH = """
SELECT (SELECT count(*) FROM (SELECT 1 FROM run_queue WHERE org_id = $1 AND owner IS NULL AND gate IS NULL
                              AND due_at <= $2 LIMIT $3) AS due)::int AS waiting,
       (SELECT count(*) FROM (SELECT 1 FROM run_queue WHERE org_id = $1 AND owner IS NOT NULL LIMIT $3) AS held)::int
           AS working
"""
