from __future__ import annotations

import asyncio

from signoff.foundation.database import DEFAULT_ORG_ID, Database


async def test_both_roles_see_the_default_organisation(database: Database) -> None:
    async with database.transaction(DEFAULT_ORG_ID) as connection:
        row = await connection.fetchrow("SELECT name, current_user AS role FROM organisation")
        assert row is not None
        assert (row["name"], row["role"]) == ("default", "signoff_app")
    async with database.worker_transaction() as connection:
        assert await connection.fetchval("SELECT current_user") == "signoff_worker"


async def test_a_listener_hears_what_is_sent(database: Database) -> None:
    heard: asyncio.Queue[str] = asyncio.Queue()
    async with database.listen("bell", heard.put_nowait):
        assert await heard.get() == ""  # connected
        await database.notify("bell", "ring")
        assert await heard.get() == "ring"
