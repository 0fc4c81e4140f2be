"""Forks of runs that go on as others: they have the past that such a run was given, and an end of their own."""

from __future__ import annotations

from support.engine import ACTOR, RELEASE, ScriptedTool, compiled, ended, eventually, journal, running, start
from tests.integration.test_runtime_continuing import ENDLESS, chain, counts

from signoff.core.clock import SystemClock
from signoff.foundation.database import Database
from signoff.runtime.client.forking import Fork, fork


async def test_a_fork_of_a_run_in_a_chain_has_what_that_run_began_with_and_ends(database: Database) -> None:
    workflow = compiled("endless", ENDLESS.replace("RENEW", "renew: 10"), shop__act=False)
    async with running(database, [workflow], ScriptedTool({"shop.act": counts})):
        await start(database, workflow, {})

        async def over() -> bool:
            return [run.outcome for run in await chain(database, "endless")] == ["continued", "continued", "over"]

        await eventually(over)
        middle = (await chain(database, "endless"))[1].run_id
        asked = Fork(middle, None, workflow, workflow, RELEASE, None, ACTOR, live=True)
        async with database.transaction(ACTOR.org_id) as connection:
            forked = await fork(connection, asked, now=SystemClock().now())
        assert (await ended(database, forked.run_id)).outcome == "continued"  # ten turns from its own start

        async def all_over() -> bool:
            return [run.outcome for run in await chain(database, "endless")][3:] == ["continued", "over"]

        await eventually(all_over)
    events = await journal(database, forked.run_id)
    assert events[0].data["continued_from"]["chain_id"] == str(forked.run_id)
    assert "base" not in [event.data.get("step") for event in events]
