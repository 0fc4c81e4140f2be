"""How a peer's process talks with the benchmark: commands in, results out, a line of JSON each.

It runs under the peer's own Python, where nothing of Signoff is installed: the standard library only.

    {"do": "load", "steps": 5, "fan_out": false, "in_flight": 256, "seconds": 8}   -> {"began": true}, {"steps": …,
                                                                "elapsed_s": …}, {"runs": …}
    {"do": "alone", "steps": 5, "runs": 100}                                       -> {"latencies_ms": […]}
"""

from __future__ import annotations

import asyncio
import json
import random
import sys
import time
from collections.abc import Awaitable, Callable
from typing import Any

TEXT = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789-_"
WARM_UP_S = 1.0
WARM_UP_RUNS = 10

RunOne = Callable[[int, bool, str], Awaitable[Any]]
"""Runs one workflow to its end: steps, whether they are side by side, the 200 bytes that each step gives."""


def say(**data: Any) -> None:
    """Send the benchmark a line."""
    print(json.dumps(data), flush=True)


def pad() -> str:
    """200 characters that do not compress."""
    return "".join(random.choices(TEXT, k=200))


class Counter:
    """Steps that have been executed. Counted one by one: under load a run may last longer than the measurement."""

    steps = 0


def stepped() -> None:
    """Every peer's step calls this."""
    Counter.steps += 1


async def told_steps() -> None:
    """For a process that only executes steps: say how many so far whenever a line comes, until the input ends."""
    while await asyncio.to_thread(sys.stdin.readline):
        say(steps=Counter.steps)


async def serve(run_one: RunOne) -> None:
    """Say `ready`, then do what is asked until the input ends."""
    say(ready=True)
    while line := await asyncio.to_thread(sys.stdin.readline):
        command = json.loads(line)
        if command["do"] == "load":
            say(**await _load(run_one, command))
        else:
            say(**await _alone(run_one, command))


async def _load(run_one: RunOne, command: dict[str, Any]) -> dict[str, Any]:
    until_s = time.perf_counter() + WARM_UP_S + command["seconds"]
    runs = 0

    async def keep_running() -> None:
        nonlocal runs
        while time.perf_counter() < until_s:
            await run_one(command["steps"], command["fan_out"], pad())
            runs += 1

    async def announce() -> None:
        await asyncio.sleep(WARM_UP_S)
        say(began=True)
        before, began_s = Counter.steps, time.perf_counter()
        await asyncio.sleep(command["seconds"])
        say(steps=Counter.steps - before, elapsed_s=time.perf_counter() - began_s)

    await asyncio.gather(announce(), *(keep_running() for _ in range(command["in_flight"])))
    return {"runs": runs}


async def _alone(run_one: RunOne, command: dict[str, Any]) -> dict[str, Any]:
    latencies_ms: list[float] = []
    for number in range(command["runs"] + WARM_UP_RUNS):
        began_s = time.perf_counter()
        await run_one(command["steps"], False, pad())
        if number >= WARM_UP_RUNS:
            latencies_ms.append((time.perf_counter() - began_s) * 1000)
    return {"latencies_ms": latencies_ms}
