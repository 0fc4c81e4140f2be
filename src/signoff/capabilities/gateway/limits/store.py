"""The SQL of limits."""

from __future__ import annotations

# Settles and admits a batch of calls, in one statement that is a transaction of its own.
ADMIT = "SELECT signoff_admit_model_calls($1::jsonb, $2::jsonb, $3::jsonb, $4, $5)"

# Counters in which nothing counts any more; an admission that finds one gone makes it again.
FORGET = """
DELETE FROM model_limit_use WHERE ctid IN (
    SELECT ctid FROM model_limit_use WHERE stale_at < coalesce($1, now()) LIMIT 1000 FOR UPDATE SKIP LOCKED)
"""
