"""Group commits wait a moment for runs that are being advanced, so that runs out of step share them."""

from __future__ import annotations

import asyncio

from support.engine import ScriptedTool, compiled, ended, running, start

from signoff.foundation.database import Database
from signoff.runtime.handlers import Done, Effect, StepCall

STEPS = 12


async def test_runs_that_are_a_turn_apart_share_their_commits(database: Database) -> None:
    steps = "\n".join(
        f'  s{n}: {{tool: act, with: {{n: "${{{"input.n" if n == 0 else f"s{n - 1}.n"}}}"}}}}' for n in range(STEPS)
    )
    chain = compiled("gathered", f"steps:\n{steps}\noutcome: {{done: s{STEPS - 1}.done}}\n", act=True)

    async def act(call: StepCall) -> Done:
        number = call.arguments["with"]["n"]
        for _ in range(number):  # so many turns of the event loop later than the others
            await asyncio.sleep(0)
        return Done({"n": number})

    run_ids = [await start(database, chain, {"n": turns}) for turns in range(3)]
    async with running(database, [chain], ScriptedTool({"act": act}, effects={"act": Effect("resend")})) as worker:
        for run_id in run_ids:
            assert (await ended(database, run_id)).outcome == "done"
        flushes = worker.statistics["flushes"]
    assert STEPS <= flushes < STEPS * 2  # each intent is on the disk before its call; those of three runs go together
