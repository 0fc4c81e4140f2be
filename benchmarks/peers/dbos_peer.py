"""DBOS: async workflows in one process, as its documentation writes them. `dbos_peer.py URL NUMBER POOL`."""

# It runs in an environment of its own, which has what it imports.
# pyright: basic, reportMissingImports=false

from __future__ import annotations

import asyncio
import sys

import protocol
import uvloop
from dbos import DBOS


@DBOS.step()
async def act(pad: str) -> str:
    protocol.stepped()
    return pad


@DBOS.workflow()
async def serial(steps: int, pad: str) -> str:
    for _ in range(steps):
        pad = await act(pad)
    return "done"


@DBOS.workflow()
async def fan_out(steps: int, pad: str) -> str:
    await asyncio.gather(*(act(pad) for _ in range(steps)))
    return "done"


async def run_one(steps: int, side_by_side: bool, pad: str) -> None:
    handle = await DBOS.start_workflow_async(fan_out if side_by_side else serial, steps, pad)
    await handle.get_result()


async def main() -> None:
    url, number, pool = sys.argv[1], sys.argv[2], int(sys.argv[3])
    DBOS(
        config={
            "name": "bench",
            "system_database_url": url,
            "sys_db_pool_size": pool,
            "log_level": "ERROR",
            "executor_id": f"bench-{number}",
            "application_version": "1",
            "use_listen_notify": True,
        }
    )
    DBOS.launch()
    await protocol.serve(run_one)
    DBOS.destroy()


uvloop.run(main())
