"""Restate's Python SDK: the service that the server calls, under hypercorn over HTTP/2. `restate_peer.py PORT`.

Its documentation recommends hypercorn for production; the load comes from `restate_load.py`.
"""

# It runs in an environment of its own, which has what it imports.
# pyright: basic, reportMissingImports=false

from __future__ import annotations

import asyncio
import sys

import hypercorn.asyncio
import hypercorn.config
import protocol
import restate
import uvloop

bench = restate.Service("bench")


def act(pad: str) -> str:
    protocol.stepped()
    return pad


@bench.handler()
async def serial(ctx: restate.Context, order: dict) -> str:
    pad = order["pad"]
    for number in range(order["steps"]):
        pad = await ctx.run_typed(f"s{number}", act, pad=pad)
    return "done"


@bench.handler()
async def fan_out(ctx: restate.Context, order: dict) -> str:
    await restate.gather(*(ctx.run_typed(f"s{number}", act, pad=order["pad"]) for number in range(order["steps"])))
    return "done"


async def main() -> None:
    config = hypercorn.config.Config()
    config.bind = [f"127.0.0.1:{sys.argv[1]}"]
    config.accesslog = None
    config.h2_max_concurrent_streams = 2**31 - 1
    config.keep_alive_max_requests = 2**31 - 1
    config.keep_alive_timeout = 2**31 - 1
    over = asyncio.Event()
    serving = asyncio.create_task(hypercorn.asyncio.serve(restate.app([bench]), config, shutdown_trigger=over.wait))
    protocol.say(ready=True)
    await protocol.told_steps()
    over.set()
    await serving


uvloop.run(main())
