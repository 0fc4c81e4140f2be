"""SQL of claims: which runs a worker takes, what it loads of them, when it looks again."""

from __future__ import annotations

from signoff.runtime.store import FENCED

# The first row of each lane, by a loose scan: organisation, team and priority, however many runs each has.
_LANES = """
WITH RECURSIVE lane AS (
    (SELECT org_id, team, priority, due_at FROM run_queue WHERE owner IS NULL AND gate IS NULL
     ORDER BY org_id, team, priority, due_at LIMIT 1)
    UNION ALL
    SELECT next.* FROM lane CROSS JOIN LATERAL (
        SELECT q.org_id, q.team, q.priority, q.due_at FROM run_queue q
        WHERE q.owner IS NULL AND q.gate IS NULL
            AND (q.org_id, q.team, q.priority) > (lane.org_id, lane.team, lane.priority)
        ORDER BY q.org_id, q.team, q.priority, q.due_at LIMIT 1
    ) next
)
"""

# Decision 0002, rule 7: a recursive loose scan over (organisation, team, priority), a few due runs of each, then round
# robin: organisations first, in each its teams, in each team by priority and time. `ORDER BY priority, due_at` over all
# gave every claim to the organisation with the longest backlog. Lots decide between equals: a full worker claims one
# run at a time, and would otherwise always take from whoever sorts first. Runs behind a gate are not in the index.
# Lanes share twice what is wanted; with several organisations each of these has an equal part, which takes a function,
# as LIMIT takes no column. The array keeps the plan to the primary key: joined, `chosen` was taken for thousands of
# rows, and the whole queue was read.
# `$4` is what may be loaded, in bytes of journal; `$5` lets one run through whatever its size.
_IN_TURN = """
), in_team AS (
    SELECT *, row_number() OVER (PARTITION BY org_id, team ORDER BY priority, due_at, run_id) AS place FROM candidate
), in_organisation AS (
    SELECT run_id, journal_bytes, lot, row_number() OVER (PARTITION BY org_id ORDER BY place, lot) AS place FROM in_team
), chosen AS (
    SELECT run_id FROM (
        SELECT run_id, row_number() OVER turns AS number, sum(journal_bytes) OVER turns AS size_bytes
        FROM in_organisation WINDOW turns AS (ORDER BY place, lot)
    ) ranked WHERE number <= $3 AND (size_bytes <= $4 OR (number = 1 AND $5))
)
UPDATE run_queue q SET owner = fence.id FROM fence WHERE q.run_id = ANY (ARRAY(SELECT run_id FROM chosen))
RETURNING q.run_id, q.org_id, q.gen, q.crashes, q.queue, coalesce(q.admitted_at, q.not_before) AS began_at,
    q.team, q.priority, q.due_at
"""

_CLAIM_READY = f"""
, fence AS MATERIALIZED (
    SELECT id FROM worker_session WHERE {FENCED} FOR KEY SHARE
), ready AS MATERIALIZED (
    SELECT org_id, team, priority, count(*) OVER (PARTITION BY org_id) AS lanes FROM lane WHERE due_at <= $2
), organisations AS MATERIALIZED (
    SELECT count(DISTINCT org_id) AS number FROM ready
), candidate AS (
    SELECT due.*, ready.org_id, ready.team, ready.priority
    FROM (SELECT * FROM ready WHERE (SELECT number FROM organisations) = 1) ready CROSS JOIN LATERAL (
        SELECT q.run_id, q.due_at, q.journal_bytes, random() AS lot FROM run_queue q
        WHERE q.owner IS NULL AND q.gate IS NULL
            AND q.org_id = ready.org_id AND q.team = ready.team AND q.priority = ready.priority AND q.due_at <= $2
        ORDER BY q.due_at, q.run_id
        LIMIT (SELECT least($3::bigint, 1 + 2 * $3::bigint / greatest(count(*), 1)) FROM ready)
        FOR UPDATE SKIP LOCKED
    ) due
    UNION ALL
    SELECT due.*, random(), ready.org_id, ready.team, ready.priority
    FROM ready, organisations, LATERAL signoff_due_runs(ready.org_id, ready.team, ready.priority, $2,
        least($3::bigint, 1 + 2 * $3::bigint / (organisations.number * ready.lanes))) due
    WHERE organisations.number > 1
"""  # noqa: S608  (constants only)
CLAIM = _LANES + _CLAIM_READY + _IN_TURN

# The same in lanes that are known, each behind the run that was claimed there last. What a lane's index still has of
# runs that have left it can only be passed over while somebody's old snapshot might see them: each claim read all that
# had been claimed since that began. Here a claim reads what it takes, and nothing of before.
_BEHIND = """
        AS lane (org_id, team, priority, due_us, run_id)
    CROSS JOIN LATERAL (
        SELECT q.run_id, q.due_at, q.journal_bytes FROM run_queue q
        WHERE q.owner IS NULL AND q.gate IS NULL
            AND q.org_id = lane.org_id AND q.team = lane.team AND q.priority = lane.priority
            AND (q.due_at, q.run_id) > (timestamptz 'epoch' + lane.due_us * interval '1 microsecond', lane.run_id)
"""
_CLAIM_BEHIND = f"""
WITH fence AS MATERIALIZED (
    SELECT id FROM worker_session WHERE {FENCED} FOR KEY SHARE
), candidate AS (
    SELECT due.*, random() AS lot, lane.org_id, lane.team, lane.priority
    FROM unnest($6::text::uuid[], $7::text[], $8::text::smallint[], $9::text::bigint[], $10::text::uuid[])
    {_BEHIND}
            AND q.due_at <= $2
        ORDER BY q.due_at, q.run_id LIMIT $11 FOR UPDATE SKIP LOCKED
    ) due
"""  # noqa: S608  (constants only)
CLAIM_BEHIND = _CLAIM_BEHIND + _IN_TURN

# The runs that the worker was just told of, where nothing else is due: they pass nobody by. What somebody has locked,
# or has taken, is not waited for. `$4` is what each may have in bytes of journal. With IS NULL the index of lanes would
# do, in which a run is found by reading it through.
CLAIM_NAMED = f"""
WITH fence AS MATERIALIZED (
    SELECT id FROM worker_session WHERE {FENCED} FOR KEY SHARE
), chosen AS MATERIALIZED (
    SELECT q.run_id FROM unnest($2::uuid[]) AS named (run_id) CROSS JOIN LATERAL (
        SELECT run_id FROM run_queue WHERE run_id = named.run_id
            AND num_nonnulls(owner, gate) = 0 AND due_at <= $3 AND journal_bytes <= $4
        FOR UPDATE SKIP LOCKED
    ) q
)
UPDATE run_queue q SET owner = fence.id FROM fence WHERE q.run_id = ANY (ARRAY(SELECT run_id FROM chosen))
RETURNING q.run_id, q.org_id, q.gen, q.crashes, q.queue, coalesce(q.admitted_at, q.not_before) AS began_at
"""  # noqa: S608  (constants only)

# A claim is a promise to nobody, so its commit waits neither for the disk nor for a replica. If it is lost with the
# server, so are our connections; and whatever we would append all the same finds that the run is not ours. Every commit
# that somebody rests on, the append's first, takes the claim to the disk before itself, as the log is one sequence.
CLAIM_WITHOUT_FLUSH = "SET synchronous_commit = off"

# Of the runs in `wanted` those that the session has, with their messages.
_OURS = """
CROSS JOIN LATERAL (
    SELECT * FROM run_queue WHERE run_id = wanted.run_id AND owner IS NOT DISTINCT FROM $1 OFFSET 0
) q
LEFT JOIN LATERAL (SELECT * FROM inbox WHERE run_id = wanted.run_id OFFSET 0) i ON true
"""

# Journals and inboxes of the whole batch in one query. The inner ORDER BY keeps the planner from joining whole
# partitions: each run is looked for by the key, in its own month only, whatever the statistics of a month that has just
# begun. `gen` is read with the messages: parking on an older one fails, so nothing that arrives in between is stranded.
LOAD = f"""
SELECT j.run_id, j.seq, j.kind, j.recorded_at, j.data,
    NULL::bigint AS gen, NULL::uuid AS message_id, NULL::text AS path, NULL::text AS sent_by, NULL::bigint AS place
FROM unnest($2::text::uuid[]) AS wanted (run_id) CROSS JOIN LATERAL (
    SELECT * FROM journal WHERE run_id = wanted.run_id ORDER BY seq
) j
UNION ALL
SELECT q.run_id, NULL, i.kind, NULL, i.data, q.gen, i.message_id, i.path, i.sent_by, i.place
FROM unnest($2::text::uuid[]) AS wanted (run_id) {_OURS}
ORDER BY run_id, seq, place, message_id
"""  # noqa: S608  (constants only)

# `gen` is read with the messages: parking on an older one fails, so nothing that arrives in between is stranded.
LOAD_INBOX = f"""
SELECT q.run_id, q.gen, i.message_id, i.path, i.kind, i.sent_by, i.data
FROM unnest($2::uuid[]) AS wanted (run_id) {_OURS}
ORDER BY q.run_id, i.place, i.message_id
"""  # noqa: S608  (constants only)

# When this worker should next look for parked runs on its own.
_EARLIEST = "SELECT min(due_at) FROM lane"
NEXT_DUE = _LANES + _EARLIEST

# The same of the lanes that are known.
NEXT_DUE_BEHIND = f"""
SELECT min(due.due_at)
    FROM unnest($1::text::uuid[], $2::text[], $3::text::smallint[], $4::text::bigint[], $5::text::uuid[])
    {_BEHIND}
        ORDER BY q.due_at, q.run_id LIMIT 1
    ) due
"""  # noqa: S608  (constants only)
