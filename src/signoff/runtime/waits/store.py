"""The SQL of events and waits. All of it runs inside one organisation, in the caller's transaction.

An event and a wait that come at the same moment must not miss each other: whoever files or looks under a digest holds
the lock of that digest until its commit. A set of fields that nobody has compared before takes the lock of the whole
type: the events that came before are filed under it then, and those under way come after.
"""

# Held by whoever posts, shared: the sets of fields do not change meanwhile.
LOCK_TYPE_SHARED = "SELECT pg_advisory_xact_lock_shared(hashtextextended('event-type/' || $1::uuid || '/' || $2, 0))"
LOCK_TYPE = "SELECT pg_advisory_xact_lock(hashtextextended('event-type/' || $1::uuid || '/' || $2, 0))"

# In one order, so that two that share several digests do not wait for each other.
LOCK_DIGESTS = """
SELECT pg_advisory_xact_lock(key) FROM (
    SELECT hashtextextended('event/' || $1::uuid || '/' || $2 || '/' || digest, 0) AS key
    FROM unnest($3::text[]) AS digest ORDER BY key
) keys
"""

SHAPES = "SELECT fields FROM event_shape WHERE org_id = $1 AND type = $2"
HAS_SHAPE = "SELECT 1 FROM event_shape WHERE org_id = $1 AND type = $2 AND fields = $3"
ADD_SHAPE = "INSERT INTO event_shape (org_id, type, fields) VALUES ($1, $2, $3) ON CONFLICT DO NOTHING"

# A few at a time: all that may be kept of one type would be more than a worker has room for.
EVENTS_OF_TYPE = """
SELECT event_no, data FROM received_event WHERE org_id = $1 AND type = $2 AND event_no > $3 ORDER BY event_no LIMIT 100
"""

# A few at a time with each event that comes, so that no job is needed; SKIP LOCKED, as another may be at it.
EXPIRE = """
DELETE FROM received_event WHERE ctid = ANY (ARRAY(
    SELECT ctid FROM received_event WHERE org_id = $1 AND expires_at <= $2
    ORDER BY expires_at LIMIT 100 FOR UPDATE SKIP LOCKED
))
"""
# Of those from outside: what our own runs emit, others' flood must not keep from them, nor the other way.
KEPT = "SELECT count(*) FROM (SELECT 1 FROM received_event WHERE org_id = $1 AND labels IS NULL LIMIT $2) kept"

RECEIVE = """
INSERT INTO received_event (org_id, source, event_id, type, sent_by, projects, received_at, expires_at, data, labels)
VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10)
ON CONFLICT (org_id, source, event_id) DO NOTHING RETURNING event_no
"""
FILE = """
INSERT INTO received_event_key (org_id, type, digest, event_no)
SELECT $1, $2, u.digest, u.event_no FROM unnest($3::text[], $4::bigint[]) AS u(digest, event_no) ON CONFLICT DO NOTHING
"""

CLOSE_MATCHING = """
DELETE FROM event_wait
WHERE org_id = $1 AND type = $2 AND digest = ANY($3::text[]) AND project = ANY($4::text[])
    AND chain_id IS DISTINCT FROM $5::uuid
RETURNING run_id, path, chain_id
"""

# The runs' rows are locked in one order. A run that has ended has none, and gets nothing. As for any message, a run
# that is held back until a moment is not moved ahead of it.
BUMP = """
WITH locked AS MATERIALIZED (
    SELECT run_id FROM run_queue WHERE org_id = $1 AND run_id = ANY($2::uuid[]) ORDER BY run_id FOR UPDATE
)
UPDATE run_queue q SET gen = gen + 1, due_at = greatest(least(q.due_at, $3), q.not_before)
WHERE q.run_id = ANY (ARRAY(SELECT run_id FROM locked)) RETURNING q.run_id
"""
SEND = """
INSERT INTO inbox (message_id, org_id, run_id, path, kind, sent_by, sent_at, data, place)
SELECT u.message_id, $1, u.run_id, u.path, $5, $6, $7, $8, q.gen
FROM unnest($2::uuid[], $3::uuid[], $4::text[]) AS u(message_id, run_id, path)
CROSS JOIN LATERAL (SELECT gen FROM run_queue WHERE run_id = u.run_id OFFSET 0) q
ON CONFLICT (message_id) DO NOTHING
"""
TAKE = """
INSERT INTO event_taken (chain_id, run_id, path, event_no, org_id)
SELECT u.chain_id, u.run_id, u.path, $5, $1 FROM unnest($2::uuid[], $3::uuid[], $4::text[]) AS u(chain_id, run_id, path)
ON CONFLICT DO NOTHING
"""
MATCHED = "UPDATE received_event SET matched = true WHERE event_no = $1 AND NOT matched"

OPEN = """
INSERT INTO event_wait (run_id, path, org_id, project, chain_id, type, digest, opened_at)
VALUES ($1, $2, $3, $4, $5, $6, $7, $8) ON CONFLICT (run_id, path) DO NOTHING
"""
CLOSE = "DELETE FROM event_wait WHERE run_id = $1 AND path = $2"

# A step that ends without it leaves the event to its run's next wait.
GIVE_BACK = "DELETE FROM event_taken WHERE run_id = $1 AND path = $2"

# What this very step was given before, where its worker died before that was journaled. BETWEEN and an order, here and
# below, are what only the right index has: kept events come and go, and of a table that was empty when PostgreSQL last
# looked at it, it takes any index that has the column somewhere, and reads it whole.
TAKEN = """
SELECT e.event_no, e.source, e.event_id, e.type, e.received_at, e.data, e.labels
FROM event_taken t CROSS JOIN LATERAL (
    SELECT * FROM received_event WHERE event_no BETWEEN t.event_no AND t.event_no ORDER BY event_no LIMIT 1
) e
WHERE t.run_id = $1 AND t.path = $2 ORDER BY t.event_no LIMIT 1
"""

# The oldest first. One that other runs have taken is for this run only if the run was there when it came: else a wait
# without `match` would be given what others had long been told.
FIND_KEPT = """
SELECT e.event_no, e.source, e.event_id, e.type, e.received_at, e.data, e.labels
FROM received_event_key k
CROSS JOIN LATERAL (
    SELECT * FROM received_event WHERE event_no BETWEEN k.event_no AND k.event_no ORDER BY event_no LIMIT 1
) e
WHERE k.org_id = $1 AND k.type = $2 AND k.digest BETWEEN $3 AND $3 AND $4 = ANY(e.projects) AND e.expires_at > $5
    AND (NOT e.matched OR e.received_at >= $6)
    AND (SELECT true FROM event_taken t WHERE t.chain_id = $7 AND t.event_no = k.event_no LIMIT 1) IS NULL
ORDER BY k.digest, k.event_no LIMIT 1
"""
