"""The ceiling: the same bytes a row by group commit, with 256 appenders in flight and no engine."""

from __future__ import annotations

import asyncio
import os
import random
import time
import uuid
from typing import Any

import psycopg

from benchmarks.engine_runs import IN_FLIGHT, Rate
from benchmarks.machine import Server, Stopwatch
from benchmarks.workloads import pad
from signoff.core.clock import SystemClock
from signoff.foundation.database import DEFAULT_ORG_ID, Database

TABLE = """
CREATE TABLE bare (run_id uuid, seq int, org_id uuid, kind text, recorded_at timestamptz, session_id uuid, data bytea,
    PRIMARY KEY (run_id, seq))
"""
GRANT = "GRANT INSERT ON bare TO signoff_worker"
INSERT = """
INSERT INTO bare (org_id, run_id, seq, kind, recorded_at, data)
SELECT * FROM unnest($1::uuid[], $2::uuid[], $3::int[], $4::text[], $5::timestamptz[], $6::bytea[])
"""
# As long as what the engine journals of a step of the workload.
_DATA = (
    '{"step":"s1","status":"done","output":{"pad":"%s"},"labels":{"class":"internal","trust":"untrusted",'
    '"residency":[],"sources":["input.pad"]}}'
)


async def bare(server: Server, database: Database, seconds: float) -> Rate:
    """Rows per second of one writer that commits what the appenders wait for."""
    with psycopg.connect(server.url, autocommit=True) as administration:
        administration.execute(TABLE)
        administration.execute(GRANT)
    pending: list[tuple[tuple[Any, ...], asyncio.Future[None]]] = []
    wake, loop = asyncio.Event(), asyncio.get_running_loop()
    written, until = 0, time.perf_counter() + seconds

    async def appender(number: int) -> None:
        run_id, seq, now = uuid.uuid4(), 0, SystemClock().now()
        data = (_DATA % pad(random.Random(number))).encode()
        while time.perf_counter() < until:
            seq += 1
            future: asyncio.Future[None] = loop.create_future()
            pending.append(((DEFAULT_ORG_ID, run_id, seq, "step.ended", now, data), future))
            wake.set()
            await future

    async def writer() -> None:
        nonlocal written
        async with database.worker_connection() as connection:
            while True:
                await wake.wait()
                wake.clear()
                batch, pending[:] = pending[:], []
                if not batch:
                    continue
                await connection.execute(INSERT, *[list(column) for column in zip(*[row for row, _ in batch])])  # noqa: B905
                written += len(batch)
                for _, future in batch:
                    future.set_result(None)

    task = asyncio.create_task(writer())
    watch = Stopwatch({"script": [os.getpid()], "postgresql": [server.pid]})
    await asyncio.gather(*(appender(number) for number in range(IN_FLIGHT)))
    elapsed_s, cpu = watch.read()
    task.cancel()
    return Rate(written / elapsed_s, {name: used / written * 1e6 for name, used in cpu.items()})
