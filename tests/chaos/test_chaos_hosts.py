"""Workers on several hosts, one of them cut off: the others take its runs over, and nothing happens twice.

A host is a network namespace with an interface of its own. That needs root and `ip netns`.
"""

from __future__ import annotations

import asyncio
import os
import shutil
import subprocess
import sys
from collections.abc import Generator
from contextlib import contextmanager
from pathlib import Path

import pytest
from support.engine import eventually
from support.killed import Sink
from support.proxy import listening
from tests.chaos.test_chaos_killed_worker import outcomes, started, stories

from signoff.foundation.database import Database

HOSTS = 2
RUNS = 30
GATEWAY = "10.211.{host}.1"
WORKER = "import sys; sys.path.insert(0, sys.argv[2]); from support.killed import work; work(sys.argv[1], None)"


def ip(*arguments: str) -> None:
    subprocess.run(["ip", *arguments], check=True, capture_output=True, text=True)


def why_not() -> str | None:
    """Why there can be no namespaces here, or none."""
    if sys.platform != "linux" or os.geteuid() != 0 or shutil.which("ip") is None:
        return "network namespaces need Linux, root and the command ip"
    try:
        ip("netns", "add", "signoff-probe")
        ip("netns", "del", "signoff-probe")
    except subprocess.CalledProcessError as error:
        return f"ip netns is not permitted here: {error.stderr}"
    return None


@contextmanager
def host(number: int) -> Generator[str]:
    """A namespace with a way to this one; gives its name. Its link here is called `sg` and the number."""
    name, here, there = f"signoff-{number}", f"sg{number}", f"sgp{number}"
    ip("netns", "add", name)
    try:
        ip("link", "add", here, "type", "veth", "peer", "name", there, "netns", name)
        ip("addr", "add", f"{GATEWAY.format(host=number)}/24", "dev", here)
        ip("link", "set", here, "up")
        inside = ("netns", "exec", name, "ip")
        ip(*inside, "addr", "add", f"10.211.{number}.2/24", "dev", there)
        ip(*inside, "link", "set", there, "up")
        ip(*inside, "link", "set", "lo", "up")
        ip(*inside, "route", "add", "default", "via", GATEWAY.format(host=number))
        yield name
    finally:
        ip("netns", "del", name)


@contextmanager
def worker_on(name: str, url: str) -> Generator[subprocess.Popen[bytes]]:
    tests = str(Path(__file__).parents[1])
    process = subprocess.Popen(["ip", "netns", "exec", name, sys.executable, "-c", WORKER, url, tests])
    try:
        yield process
    finally:
        process.kill()
        process.wait(10)


@pytest.mark.timeout(300)
async def test_a_host_that_is_cut_off_loses_its_runs_to_the_others(database: Database, database_url: str):
    reason = await asyncio.to_thread(why_not)
    if reason is not None:
        pytest.skip(reason)
    with Sink(host="0.0.0.0") as sink, host(0) as first, host(1) as second:
        async with (
            listening(database_url, GATEWAY.format(host=0)) as (_, one),
            listening(database_url, GATEWAY.format(host=1)) as (_, two),
        ):
            # The runs' project names one address of the service; both hosts have a way to it.
            runs = await started(database, range(RUNS), sink.url.replace("0.0.0.0", GATEWAY.format(host=1)))
            with worker_on(first, one), worker_on(second, two):
                await eventually(lambda: sink.payments.total() >= 4, 120)
                await asyncio.to_thread(ip, "link", "set", "sg0", "down")
                found = await outcomes(database, runs, 150)
                assert found == ["paid"] * RUNS, await stories(database, runs, found)
                await asyncio.to_thread(ip, "link", "set", "sg0", "up")
                more = await started(
                    database, range(RUNS, RUNS + 5), sink.url.replace("0.0.0.0", GATEWAY.format(host=1))
                )
                assert await outcomes(database, more, 120) == ["paid"] * 5
    assert set(sink.payments.values()) == {1}
    assert len(sink.payments) == RUNS + 5
