"""The SQL of rehearsals. Time is the server's, as those who ask and those who answer are on different machines."""

# A few at a time with each that comes, so that no job is needed; SKIP LOCKED, as another may be at it.
FORGET = """
DELETE FROM run_rehearsal WHERE ctid = ANY (ARRAY(
    SELECT ctid FROM run_rehearsal WHERE org_id = $1 AND asked_at < now() - make_interval(secs => $2)
    ORDER BY asked_at LIMIT 100 FOR UPDATE SKIP LOCKED
))
"""

OPEN = "SELECT count(*) FROM run_rehearsal WHERE org_id = $1 AND answered_at IS NULL AND expires_at > now()"

ASK = """
INSERT INTO run_rehearsal (rehearsal_id, org_id, run_id, release, workflow, asked_by, expires_at)
VALUES ($1, $2, $3, $4, $5, $6, now() + make_interval(secs => $7))
"""

ANSWER = """
SELECT answered_at IS NOT NULL AS answered, last_seq, differences, problem FROM run_rehearsal
WHERE org_id = $1 AND rehearsal_id = $2
"""

# Nobody waits any more: no worker begins it.
CANCEL = """
UPDATE run_rehearsal SET expires_at = least(expires_at, now())
WHERE org_id = $1 AND rehearsal_id = $2 AND answered_at IS NULL
"""

# One that a worker took and said nothing of for a while is taken again, but not for ever ($1 seconds, $2 times). `$3`:
# those that this worker cannot answer.
TAKE = """
UPDATE run_rehearsal SET taken_at = now(), takes = takes + 1 WHERE rehearsal_id = (
    SELECT rehearsal_id FROM run_rehearsal
    WHERE answered_at IS NULL AND expires_at > now() AND takes < $2 AND rehearsal_id <> ALL($3::uuid[])
        AND (taken_at IS NULL OR taken_at < now() - make_interval(secs => $1))
    ORDER BY asked_at LIMIT 1 FOR UPDATE SKIP LOCKED
)
RETURNING rehearsal_id, org_id, run_id, release, workflow
"""

TELL = """
UPDATE run_rehearsal SET answered_at = now(), last_seq = $2, differences = $3, problem = $4
WHERE rehearsal_id = $1 AND answered_at IS NULL
"""

# Another worker may be able to: why this one is not is told where none is.
LEAVE = """
UPDATE run_rehearsal SET taken_at = NULL, takes = takes - 1, problem = $2
WHERE rehearsal_id = $1 AND answered_at IS NULL
"""
