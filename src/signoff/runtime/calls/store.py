"""The SQL of called runs and of runs that continue as new ones."""

# The primary key makes a try of a step start one run, whoever dies when. A second starter waits for the first's commit.
CALL = """
INSERT INTO run_call (parent_id, path, attempt, org_id, child_id) VALUES ($1, $2, $3, $4, $5)
ON CONFLICT (parent_id, path, attempt) DO NOTHING RETURNING child_id
"""
CALLED = "SELECT child_id, org_id FROM run_call WHERE parent_id = $1 AND path = $2 AND attempt = $3"

# No row in the queue: the run has ended, with what its last event says.
END = """
SELECT j.data FROM journal j
WHERE j.run_id = $1 AND j.kind = 'run.ended' AND NOT EXISTS (SELECT FROM run_queue q WHERE q.run_id = $1)
ORDER BY j.seq DESC LIMIT 1
"""

# Written with the run's end: of all its model calls, and those of the runs that it called and continues.
USAGE = "SELECT usage FROM run_view WHERE run_id = $1"

# The parent of a run that goes on under another id waits for that one.
CALL_MOVES = "UPDATE run_call SET child_id = $2 WHERE child_id = $1"

# What a run that continues another takes over. The lock keeps senders off until the commit; they find it ended then.
PLACE = """
SELECT team, priority, queue, queue_key, yields, gen FROM run_queue WHERE run_id = $1 FOR UPDATE
"""
MESSAGES_MOVE = "UPDATE inbox SET run_id = $2 WHERE run_id = $1"

# What is sent to the new run comes behind what was sent to the old one, and what that one had taken before all of it.
GENERATION_MOVES = "UPDATE run_queue SET gen = $2 WHERE run_id = $1"
TAKEN_BEFORE = """
INSERT INTO inbox (message_id, org_id, run_id, path, kind, sent_by, sent_at, data, place)
VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9) ON CONFLICT (message_id) DO NOTHING
"""

# It goes on in the slots that it has: queueing again would let another run begin beside the loop, or the loop stand
# still behind it. A schedule waits for the end of the loop, not of one of its runs.
SLOTS_MOVE = "UPDATE queue_slot SET run_id = $2 WHERE run_id = $1"
SCHEDULE_MOVES = "UPDATE schedule SET last_run_id = $2 WHERE org_id = $3 AND last_run_id = $1"
