"""256 callers, each of which starts a run, waits for the news of its end, and starts the next: starts included.

The backlog's figure leaves the starts out, which a peer that runs in its caller's process cannot.
"""

from __future__ import annotations

import asyncio
import os
import random
import time
from uuid import UUID

from benchmarks.engine_runs import IN_FLIGHT, Rate, start_workers
from benchmarks.machine import Server, Stopwatch
from benchmarks.workloads import Shape, start_runs
from signoff.catalog.model import Release
from signoff.foundation.database import Database
from signoff.foundation.settings import DatabaseSettings
from signoff.runtime.announcing import ENDED_CHANNEL, WAKE_CHANNEL

WARM_UP_S = 1.0
CONNECTIONS = 20


async def closed_loop(server: Server, database: Database, release: Release, shape: Shape, *, seconds: float) -> Rate:
    """Steps per second of runs that ended within the time."""
    waiting: dict[UUID, asyncio.Future[None]] = {}
    early: set[UUID] = set()
    done = 0
    over = asyncio.Event()

    def ended(payload: str) -> None:
        for text in payload.split(",") if payload else ():
            future = waiting.pop(UUID(text), None)
            if future is None:
                early.add(UUID(text))
            elif not future.done():
                future.set_result(None)

    async def caller(number: int) -> None:
        nonlocal done
        source = random.Random(number)
        while not over.is_set():
            (run_id,) = await start_runs(callers_own, release, shape.name, 1, source, flushes=False)
            await database.notify(WAKE_CHANNEL, str(run_id), others_later=True)  # as the API does
            await callers_own.flushes.wait()
            if run_id not in early:
                future = waiting[run_id] = asyncio.get_running_loop().create_future()
                await future
            early.discard(run_id)
            done += 1

    async with (
        await Database.open(
            DatabaseSettings(url=server.url, app_pool_size=CONNECTIONS, connect_timeout_s=60.0)
        ) as callers_own,
        database.listen(ENDED_CHANNEL, ended),
    ):
        workers = await asyncio.to_thread(start_workers, server.url, 1, {"resident_runs": IN_FLIGHT})
        callers = [asyncio.create_task(caller(number)) for number in range(IN_FLIGHT)]
        try:
            await asyncio.sleep(WARM_UP_S)
            pids = {"worker": [workers[0].pid], "callers": [os.getpid()], "postgresql": [server.pid]}
            watch, before, began_s = Stopwatch(pids), done, time.perf_counter()
            await asyncio.sleep(seconds)
            steps = (done - before) * shape.steps
            elapsed_s, cpu = time.perf_counter() - began_s, watch.read()[1]
            over.set()
            await asyncio.wait_for(asyncio.gather(*callers), 120)
        finally:
            for task in callers:
                task.cancel()
            await asyncio.to_thread(workers[0].stop)
    # The callers live in the measuring process, as the peers' do; children of it are counted by their own names.
    cpu["callers"] = max(0.0, cpu["callers"] - cpu["worker"])
    return Rate(steps / elapsed_s, {name: used / max(steps, 1) * 1e6 for name, used in cpu.items()})
