"""The client of Restate's measurement: one HTTP call for each workflow, which answers at its end.

Each call has an idempotency key, so that the server keeps what became of it. `restate_load.py INGRESS_URL`.
"""

# It runs in an environment of its own, which has what it imports.
# pyright: basic, reportMissingImports=false

from __future__ import annotations

import json
import sys
import uuid

import aiohttp
import protocol
import uvloop


async def main() -> None:
    ingress = sys.argv[1]
    connector = aiohttp.TCPConnector(limit=0)
    async with aiohttp.ClientSession(connector=connector, timeout=aiohttp.ClientTimeout(total=300)) as session:

        async def run_one(steps: int, side_by_side: bool, pad: str) -> None:
            handler = "fan_out" if side_by_side else "serial"
            order, headers = {"steps": steps, "pad": pad}, {"idempotency-key": uuid.uuid4().hex}
            async with session.post(f"{ingress}/bench/{handler}", json=order, headers=headers) as answer:
                text = await answer.text()
                if answer.status != 200 or json.loads(text) != "done":
                    raise RuntimeError(f"{answer.status} {text[:200]}")

        await protocol.serve(run_one)


uvloop.run(main())
