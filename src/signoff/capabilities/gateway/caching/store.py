"""The SQL of kept answers."""

from __future__ import annotations

# Claims a question that nobody has answered or asks now; else finds its answer, if there is one yet.
CLAIM = """
WITH mine AS (
    INSERT INTO model_answer AS a (org_id, question, claim, claimed_until) VALUES ($1, $2, $3, $5)
    ON CONFLICT (org_id, question) DO UPDATE SET
        claim = excluded.claim, claimed_until = excluded.claimed_until, reply = NULL, kept_at = NULL, expires_at = NULL
    WHERE coalesce(a.expires_at, a.claimed_until) <= $4
    RETURNING 1
)
SELECT EXISTS (SELECT FROM mine) AS mine,
    (SELECT reply FROM model_answer WHERE org_id = $1 AND question = $2 AND expires_at > $4) AS reply
"""

# Only whoever still has the claim: another one may ask by now.
KEEP = """
UPDATE model_answer SET reply = $4, kept_at = $5, expires_at = $6 WHERE org_id = $1 AND question = $2 AND claim = $3
"""
LET_GO = "DELETE FROM model_answer WHERE org_id = $1 AND question = $2 AND claim = $3 AND reply IS NULL"

# What is over, and what is more than an organisation may keep: the oldest.
SWEEP = """
DELETE FROM model_answer WHERE org_id = $1 AND question = ANY (ARRAY(
    (SELECT question FROM model_answer WHERE org_id = $1 AND coalesce(expires_at, claimed_until) <= $2 LIMIT 1000)
    UNION ALL
    (SELECT question FROM model_answer WHERE org_id = $1 AND kept_at IS NOT NULL
        ORDER BY kept_at DESC OFFSET $3 LIMIT 1000)))
"""
