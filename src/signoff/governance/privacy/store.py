"""The SQL of runs' vaults."""

from __future__ import annotations

# The run at the top of those that called one another, as far as retention left them: one vault for all of them.
ROOT = """
SELECT up.run_id FROM signoff_callers($1, $2) AS up JOIN run_view v ON v.run_id = up.run_id AND v.org_id = $1
ORDER BY up.height DESC LIMIT 1
"""
READ = "SELECT nonce, version, tokens, key_id FROM run_vault WHERE org_id = $1 AND run_id = $2"

# Only by whoever read the latest version: the other one reads again.
MAKE = """
INSERT INTO run_vault (org_id, run_id, nonce, tokens, key_id) VALUES ($1, $2, $3, $4, $5)
ON CONFLICT (run_id) DO NOTHING RETURNING version
"""
KEEP = """
UPDATE run_vault SET tokens = $4, key_id = $5, version = version + 1 WHERE org_id = $1 AND run_id = $2 AND version = $3
RETURNING version
"""
