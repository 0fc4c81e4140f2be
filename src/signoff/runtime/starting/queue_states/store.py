"""The SQL of what people see of queues and do to them. Counts are bounded, so that a backlog costs little."""

# Slots are rows only where the queue bounds runs at once. What waits is counted no further than `$6`, the oldest among
# those: by priority they are not in the order of time, so of more than that the oldest may be older.
QUEUES = """
SELECT u.queue, u.limits, u.declared, u.paused_at, u.paused_by, u.paused_reason, b.tokens, b.filled_at,
    waiting.runs AS waiting, waiting.since,
    (SELECT count(*)::int FROM queue_slot s WHERE s.org_id = u.org_id AND s.queue = u.queue AND s.scope = 'queue')
        AS in_use
FROM queue u LEFT JOIN queue_bucket b
    ON b.org_id = u.org_id AND b.queue = u.queue AND b.scope = 'queue' AND b.label = ''
CROSS JOIN LATERAL (
    SELECT count(*)::int AS runs, min(due_at) AS since FROM (
        (SELECT due_at FROM run_queue q
         WHERE q.org_id = u.org_id AND q.queue = u.queue AND q.gate = 'queue' AND q.due_at <= $3 LIMIT $6)
        UNION ALL
        (SELECT due_at FROM run_queue q
         WHERE q.org_id = u.org_id AND q.queue = u.queue AND q.gate = 'key' AND q.due_at <= $3 LIMIT $6)
        UNION ALL
        (SELECT due_at FROM run_queue q
         WHERE q.org_id = u.org_id AND q.queue = u.queue AND q.gate = 'back' AND q.due_at <= $3 LIMIT $6)
    ) gated
) waiting
WHERE u.org_id = $1 AND starts_with(u.queue, $2) AND (u.declared OR waiting.runs > 0)
"""
LIST = QUEUES + "AND u.queue > $4 ORDER BY u.queue LIMIT $5"
READ = QUEUES + "AND u.queue = $4 LIMIT $5"

# Teams at the gate by a loose scan, and those that have slots; the longest backlogs first.
TEAMS = """
WITH RECURSIVE lane AS (
    (SELECT team FROM run_queue WHERE org_id = $1 AND queue = $2 AND gate = 'queue' ORDER BY team LIMIT 1)
    UNION ALL
    SELECT next.team FROM lane CROSS JOIN LATERAL (
        SELECT q.team FROM run_queue q WHERE q.org_id = $1 AND q.queue = $2 AND q.gate = 'queue' AND q.team > lane.team
        ORDER BY q.team LIMIT 1
    ) next
), used AS (
    SELECT label, count(*)::int AS slots FROM queue_slot
    WHERE org_id = $1 AND queue = $2 AND scope = 'team' GROUP BY label
)
SELECT coalesce(lane.team, used.label) AS label, coalesce(used.slots, 0) AS in_use, (
    SELECT count(*)::int FROM (
        SELECT FROM run_queue q
        WHERE q.org_id = $1 AND q.queue = $2 AND q.gate = 'queue' AND q.team = lane.team LIMIT $4
    ) gated
) AS waiting
FROM lane FULL JOIN used ON used.label = lane.team ORDER BY waiting DESC, in_use DESC, label LIMIT $3
"""

# The same of keys, of which there may be very many: those that have slots, and the first of those that wait.
KEYS = """
WITH RECURSIVE lane AS (
    (SELECT queue_key, 1 AS place FROM run_queue WHERE org_id = $1 AND queue = $2 AND gate = 'key'
     ORDER BY queue_key LIMIT 1)
    UNION ALL
    SELECT next.queue_key, lane.place + 1 FROM lane CROSS JOIN LATERAL (
        SELECT q.queue_key FROM run_queue q
        WHERE q.org_id = $1 AND q.queue = $2 AND q.gate = 'key' AND q.queue_key > lane.queue_key
        ORDER BY q.queue_key LIMIT 1
    ) next WHERE lane.place < $3
), used AS (
    SELECT label, count(*)::int AS slots FROM queue_slot
    WHERE org_id = $1 AND queue = $2 AND scope = 'key' GROUP BY label ORDER BY label LIMIT $3
)
SELECT coalesce(lane.queue_key, used.label) AS label, coalesce(used.slots, 0) AS in_use, (
    SELECT count(*)::int FROM (
        SELECT FROM run_queue q
        WHERE q.org_id = $1 AND q.queue = $2 AND q.gate = 'key' AND q.queue_key = lane.queue_key LIMIT $4
    ) gated
) AS waiting
FROM lane FULL JOIN used ON used.label = lane.queue_key ORDER BY waiting DESC, in_use DESC, label LIMIT $3
"""

PAUSE = """
UPDATE queue SET paused_at = $3, paused_by = $4, paused_reason = $5
WHERE org_id = $1 AND queue = $2 AND paused_at IS NULL RETURNING queue
"""

RESUME = """
UPDATE queue SET paused_at = NULL, paused_by = NULL, paused_reason = NULL
WHERE org_id = $1 AND queue = $2 AND paused_at IS NOT NULL RETURNING queue
"""
