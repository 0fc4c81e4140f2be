"""All SQL about quotas."""

from __future__ import annotations

from uuid import UUID

from signoff.core.ids import digest
from signoff.foundation.database import Connection
from signoff.runtime.handlers import Spending

LONGEST_NAME = 200
"""Characters of a holder or a key that are kept as they are: an index takes no more than 2,700 bytes of both."""

# One holder's effects take turns until their transactions end, so that two at once cannot both find room for one.
QUOTA_TURN = "SELECT pg_advisory_xact_lock(hashtextextended($1::uuid::text || '/' || $2 || '/' || $3, 0))"

# What has left the window for long is not counted again; without this, rows would only grow.
FORGET_SPENDING = """
DELETE FROM quota_use
WHERE org_id = $1 AND quota = $2 AND holder = $3 AND spent_at < now() - 2 * make_interval(secs => $4)
"""

# The key is the effect's own, so a try that is made again spends nothing more. The clock is the server's: all workers'.
SPEND_QUOTA = """
WITH mine AS (SELECT 1 FROM quota_use WHERE org_id = $1 AND quota = $2 AND holder = $3 AND key = $4),
spent AS (
    SELECT coalesce(sum(amount), 0) AS amount FROM quota_use
    WHERE org_id = $1 AND quota = $2 AND holder = $3 AND spent_at > now() - make_interval(secs => $7)
),
added AS (
    INSERT INTO quota_use (org_id, quota, holder, key, amount)
    SELECT $1, $2, $3, $4, $5::bigint FROM spent
    WHERE spent.amount + $5::bigint <= $6::bigint AND NOT EXISTS (SELECT FROM mine)
    RETURNING 1
)
SELECT EXISTS (SELECT FROM mine) OR EXISTS (SELECT FROM added)
"""


async def spend_quota(connection: Connection, org_id: UUID, spending: Spending, key: str) -> bool:
    """Count an effect against its quota; false where it would spend more than there is."""
    if spending.amount > spending.most:
        return False  # whatever was spent; PostgreSQL's integers end, a call's do not
    holder = (org_id, spending.quota, _short(spending.holder))
    await connection.execute(QUOTA_TURN, *holder)
    await connection.execute(FORGET_SPENDING, *holder, spending.window_s)
    counted = (_short(key), spending.amount, spending.most, spending.window_s)
    return bool(await connection.fetchval(SPEND_QUOTA, *holder, *counted))


def _short(name: str) -> str:
    """A name that PostgreSQL can keep and find: itself, or the digest of one that is long or has a NUL."""
    return name if len(name) <= LONGEST_NAME and "\0" not in name else digest(name.encode())
