"""The SQL of circuit breakers. Only failures and changes of state are ever written."""

from __future__ import annotations

# Every worker's background look at the few that are not closed; what is not here is closed.
NOT_CLOSED = "SELECT org_id, target, state, retry_at FROM breaker WHERE state <> 'closed'"

# One failure or slow call more. The window rolls: what is older falls out, and no more is kept than opens the breaker.
RECORD = """
INSERT INTO breaker AS b (org_id, target, failed_at, slow_at, reason, changed_at)
VALUES ($1, $2, $3::timestamptz[], $4::timestamptz[], $5, $6)
ON CONFLICT (org_id, target) DO UPDATE SET
    failed_at = ARRAY(SELECT t FROM unnest(b.failed_at || excluded.failed_at) AS t
                      WHERE t > $7 ORDER BY t DESC LIMIT $8),
    slow_at = ARRAY(SELECT t FROM unnest(b.slow_at || excluded.slow_at) AS t
                    WHERE t > $7 ORDER BY t DESC LIMIT $9),
    reason = excluded.reason
"""

# Opens it where enough has come together: whoever writes the last failure of the window, once over all workers.
TRIP = """
UPDATE breaker SET state = 'open', trips = 1, retry_at = $5, changed_at = $6
WHERE org_id = $1 AND target = $2 AND state = 'closed'
  AND (cardinality(failed_at) >= $3 OR cardinality(slow_at) >= $4)
RETURNING retry_at
"""

# One probe at a time over all workers: the row's lock lets one pass, after which `retry_at` lies ahead for the others.
PROBE = """
UPDATE breaker SET state = 'half_open', probe = $3, retry_at = $5, changed_at = $4
WHERE org_id = $1 AND target = $2 AND state <> 'closed' AND retry_at <= $4
RETURNING probe
"""

# The probe went well. A probe that was given up as lost, and another one taken, changes nothing any more.
CLOSE = """
UPDATE breaker SET state = 'closed', failed_at = '{}', slow_at = '{}', trips = 0, probe = NULL, retry_at = NULL,
                   changed_at = $4
WHERE org_id = $1 AND target = $2 AND probe = $3
RETURNING target
"""

# The probe failed: twice as long as before, up to a ceiling.
REOPEN = """
UPDATE breaker SET state = 'open', probe = NULL, trips = trips + 1, reason = $5, changed_at = $4::timestamptz,
                   retry_at = $4::timestamptz
                              + least($7::double precision, $6 * 2 ^ least(trips, 30)) * interval '1 second'
WHERE org_id = $1 AND target = $2 AND probe = $3
RETURNING retry_at
"""

# The probe was not made after all: the next call may be one.
GIVE_BACK = """
UPDATE breaker SET state = 'open', probe = NULL, retry_at = $4, changed_at = $4
WHERE org_id = $1 AND target = $2 AND probe = $3
RETURNING retry_at
"""

# For people: an organisation's breakers, by target, page by page.
LIST = """
SELECT target, state, cardinality(failed_at) AS failures, cardinality(slow_at) AS slow_calls, trips, retry_at, reason,
       changed_at
FROM breaker WHERE org_id = $1 AND ($2::text IS NULL OR target > $2)
ORDER BY target LIMIT $3
"""
