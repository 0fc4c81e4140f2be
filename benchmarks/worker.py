"""A worker process as `signoff worker` makes it, for benchmarks: `python -m benchmarks.worker URL [SETTINGS]`.

It says `ready` once it claims runs, and ends when its input is closed. Both as lines of JSON.
"""

from __future__ import annotations

import asyncio
import json
import sys

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
    async with (
        await Database.open(DatabaseSettings(url=url)) as database,
        open_worker(database, clock=SystemClock(), settings=settings) as worker,
    ):
        task = asyncio.create_task(worker.run())
        await worker.ready()
        settle_collector()  # as `signoff worker` does
        print(json.dumps({"ready": True}), flush=True)
        await asyncio.to_thread(sys.stdin.read)
        worker.stop()
        await task


if __name__ == "__main__":
    uvloop.run(main())
