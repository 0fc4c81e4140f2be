"""The SQL of limits."""

from __future__ import annotations

# Settles and admits a batch of calls, in one statement that is a transaction of its own.
ADMIT = "SELECT signoff_admit_model_calls($1::jsonb, $2::jsonb, $3::jsonb, $4, $5)"

# Counters in which nothing counts any more; an admission that finds one gone makes it again.
FORGET = """
DELETE FROM model_limit_use WHERE ctid IN (
    SELECT ctid FROM model_limit_use WHERE stale_at < coalesce($1, now()) LIMIT 1000 FOR UPDATE SKIP LOCKED)
"""

# What is used of each limit that was asked for lately; `run` is of runs' own budgets, which their runs tell of.
LIST = """
SELECT u.counter, u.about, u.most, u.slot, u.slots, u.used, coalesce($4, now()) AS moment
FROM model_limit_use u
WHERE u.org_id = $1 AND u.about ->> 'project' = $2 AND u.about ->> 'environment' = $3 AND u.about ->> 'of' <> 'run'
    AND u.stale_at > coalesce($4, now())
    AND ($5 = '' OR u.about ->> 'of' = $5) AND ($6 = '' OR u.about ->> 'holder' = $6)
    AND ((u.about ->> 'of') COLLATE "C", (u.about ->> 'holder') COLLATE "C", u.counter) > ($7, $8, $9)
ORDER BY (u.about ->> 'of') COLLATE "C", (u.about ->> 'holder') COLLATE "C", u.counter
LIMIT $10
"""
