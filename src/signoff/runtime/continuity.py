"""Whether the database is still the one it was: a failover or a restore may have lost commits that were answered.

Then an effect may have happened whose intent is in no journal any more. Runs from before the break are suspect for the
rest of their lives: before the first send of each effect they find out whether it happened, as its contract says.
"""

from __future__ import annotations

import logging
from datetime import datetime
from typing import Any

from signoff.foundation.database import Connection
from signoff.runtime import store

_log = logging.getLogger(__name__)


async def suspect_before(connection: Connection) -> datetime | None:
    """When the server's history last broke, by the server's clock; none where it never did. Notes a server met anew."""
    server = await connection.fetchrow(store.SERVER)
    assert server is not None
    place = (server["system_identifier"], server["timeline"])
    if await connection.fetchval(store.MEET_SERVER, *place):
        _log.error(
            "PostgreSQL is another server than before, or was restored (cluster %s, timeline %s): commits may be lost."
            " Runs from before find out by look-up, key or a person what became of each effect before they send it",
            *place,
        )
    for warning in unsafe_settings(server):
        _log.warning("%s", warning)
    broke_at: datetime | None = await connection.fetchval(store.LAST_BREAK)
    return broke_at


def unsafe_settings(server: Any) -> list[str]:
    """What in the server's configuration lets it lose commits that it has answered, each with what to do."""
    found = [
        f"PostgreSQL's {name} is off: a crash of its host can lose or damage commits; turn it on"
        for name in ("fsync", "full_page_writes")
        if server[name] == "off"
    ]
    commit, names = server["synchronous_commit"], server["synchronous_standby_names"]
    if commit == "off":
        found.append("PostgreSQL's synchronous_commit is off: a crash can lose the latest commits; set it to on")
    if server["standbys"] and (not names or commit == "local"):
        found.append(
            "PostgreSQL has a standby that commits do not wait for: a failover to it can lose commits; set"
            " synchronous_standby_names, and synchronous_commit to on"
        )
    return found
