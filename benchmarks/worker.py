"""A worker process as `signoff worker` makes it, for benchmarks: `python -m benchmarks.worker URL [SETTINGS]`.

It says when it claims runs and how many seconds that took from its first connection, as a line of JSON, and ends when
its input is closed.
"""

from __future__ import annotations

import asyncio
import json
import sys
import time

import uvloop

from signoff.core.clock import SystemClock
from signoff.foundation.collector import settle_collector
from signoff.foundation.database import Database
from signoff.foundation.settings import DatabaseSettings
from signoff.runtime import RuntimeSettings
from signoff.steps import open_worker


async def main() -> None:
    url = sys.argv[1]
    settings = RuntimeSettings.model_validate_json(sys.argv[2] if len(sys.argv) > 2 else "{}")
    began_s = time.perf_counter()
    async with (
        await Database.open(DatabaseSettings(url=url)) as database,
        open_worker(database, clock=SystemClock(), settings=settings) as worker,
    ):
        task = asyncio.create_task(worker.run())
        await worker.ready()
        startup_s = time.perf_counter() - began_s
        settle_collector()  # as `signoff worker` does
        print(json.dumps({"startup_s": startup_s}), flush=True)
        await asyncio.to_thread(sys.stdin.read)
        worker.stop()
        await task


if __name__ == "__main__":
    uvloop.run(main())
