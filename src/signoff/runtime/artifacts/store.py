"""The artifacts' SQL. Functions take a connection and never open a transaction."""

from __future__ import annotations

# Each content once per organisation; nothing comes back where it is there already.
ADD = """
INSERT INTO artifact (org_id, digest, size_bytes, stored_at) VALUES ($1, $2, $3, $4)
ON CONFLICT (org_id, digest) DO NOTHING RETURNING digest
"""

ADD_CHUNK = "INSERT INTO artifact_chunk (org_id, digest, place, data) VALUES ($1, $2, $3, $4)"

# The foreign key locks the artifact, so that retention cannot take it away from under a run that begins to use it.
USE = """
INSERT INTO artifact_use (org_id, run_id, digest, media_type, data_class) VALUES ($1, $2, $3, $4, $5)
ON CONFLICT DO NOTHING
"""

# What one run uses, and nothing else: a reference alone opens nothing.
USES = """
SELECT u.digest, max(a.size_bytes) AS size_bytes, min(u.media_type) AS media_type, max(u.data_class) AS data_class
FROM artifact_use u JOIN artifact a ON a.org_id = u.org_id AND a.digest = u.digest
WHERE u.org_id = $1 AND u.run_id = $2 AND u.digest = ANY ($3::text[])
GROUP BY u.digest
"""

CHUNKS = """
SELECT digest, data FROM artifact_chunk WHERE org_id = $1 AND digest = ANY ($2::text[]) ORDER BY digest, place
"""

# A run that begins with events of another one uses what they name.
SHARE = """
INSERT INTO artifact_use (org_id, run_id, digest, media_type, data_class)
SELECT org_id, $3, digest, media_type, data_class FROM artifact_use WHERE org_id = $1 AND run_id = $2
ON CONFLICT DO NOTHING
"""
