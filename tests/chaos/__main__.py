"""`python -m tests.chaos --effects 10000`: so many effects at a service that does not deduplicate, under kill -9.

Workers are killed before random events, one after the other, each batch until all of its runs have ended. At the end it
says how many effects there were, how many were lost or doubled, and before which kinds of events workers died.
"""

# ruff: noqa: ASYNC240  (a few small files, in a command of its own)

from __future__ import annotations

import argparse
import asyncio
import itertools
import random
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from uuid import UUID

sys.path.insert(0, str(Path(__file__).parents[1]))

from support.engine import ACTOR
from support.killed import Sink, worker_process
from tests.chaos.test_chaos_killed_worker import outcomes, started

from signoff.foundation.database import Database, EmbeddedServer, migrate
from signoff.foundation.settings import DatabaseSettings
from signoff.runtime import client

BATCH = 500
SHORTEST_LIFE, LONGEST_LIFE = 20, 1200
"""Events that a worker may journal before it dies: each run of a batch has about nine."""
LAST_WORKER_AFTER = 8
"""So many deaths into a batch a worker is left alive to finish it."""


async def batch(
    database: Database, url: str, sink: Sink, numbers: range, *, lives: Iterator[int], grave: str
) -> Counter[str]:
    """Start the runs, kill workers under them, and wait until all have ended. How many stand otherwise than paid."""
    runs = await started(database, numbers, sink.url)
    for _ in range(LAST_WORKER_AFTER):
        async with worker_process(url, next(lives), grave) as doomed:
            while doomed.exitcode is None and not all(await outcomes(database, runs, 0)):  # noqa: ASYNC110  (a process)
                await asyncio.sleep(0.2)
        if all(await outcomes(database, runs, 0)):
            break
    async with worker_process(url):
        found = await outcomes(database, runs, 600)
    odd = [run_id for run_id, outcome in zip(runs, found, strict=True) if outcome != "paid"]
    return Counter([await standing(database, run_id) for run_id in odd])


async def standing(database: Database, run_id: UUID) -> str:
    """Where a run stands that is not paid: its error, or what it waits for."""
    async with database.transaction(ACTOR.org_id) as connection:
        run = await client.read_run(connection, ACTOR.org_id, run_id)
    return f"{run.status}: {run.error or [entry['kind'] for entry in run.waiting_for]}"


async def main(effects: int, minutes: float, seed: int) -> int:
    chance, began_s, done, odd = random.Random(seed), time.monotonic(), 0, Counter[str]()
    lives = (chance.randrange(SHORTEST_LIFE, LONGEST_LIFE) for _ in itertools.count())
    with tempfile.TemporaryDirectory(prefix="signoff-chaos-") as directory, Sink() as sink:
        Path(directory).chmod(0o711)
        server = EmbeddedServer(Path(directory) / "pg", max_connections=60)
        url = await asyncio.to_thread(server.start)
        grave = str(Path(directory) / "deaths")
        Path(grave).touch()
        try:
            await asyncio.to_thread(migrate, url)
            async with await Database.open(DatabaseSettings(url=url)) as database:
                while done < effects and time.monotonic() - began_s < minutes * 60:
                    size = min(BATCH, effects - done)
                    odd += await batch(database, url, sink, range(done, done + size), lives=lives, grave=grave)
                    done += size
                    print(f"{done} effects after {time.monotonic() - began_s:.0f} s", flush=True)
        finally:
            await asyncio.to_thread(server.stop, delete=True)
        deaths = Counter(Path(grave).read_text().split())
        counts = [sink.payments[f"pay/{number}"] for number in range(done)]
    lost, doubled = sum(count == 0 for count in counts), sum(count > 1 for count in counts)
    print(
        f"{done} effects (of {effects} asked for) in {time.monotonic() - began_s:.0f} s, seed {seed}: {lost} lost,"
        f" {doubled} doubled, {odd.total()} runs not paid {dict(odd)}; {deaths.total()} workers killed, before"
        f" {dict(deaths.most_common())}"
    )
    return 1 if lost or doubled or odd else 0


if __name__ == "__main__":
    parser = argparse.ArgumentParser(prog="python -m tests.chaos", description=__doc__)
    parser.add_argument("--effects", type=int, default=10_000, help="how many effects")
    parser.add_argument("--minutes", type=float, default=120.0, help="begin no batch after so long")
    parser.add_argument("--seed", type=int, default=1, help="of the moments at which workers die")
    arguments = parser.parse_args()
    sys.exit(asyncio.run(main(arguments.effects, arguments.minutes, arguments.seed)))
