"""Workers on several hosts, one of them cut off: the others take its runs over, and nothing happens twice."""

from __future__ import annotations

import asyncio
import signal
import subprocess
import sys
from collections.abc import Generator
from contextlib import contextmanager
from pathlib import Path

import pytest
from support.engine import eventually
from support.killed import Sink
from support.network_hosts import PREFIX, IpError, host, ip, namespaces, remove_leftovers, why_not
from support.proxy import listening
from tests.chaos.test_chaos_killed_worker import outcomes, started, stories

from signoff.foundation.database import Database

RUNS = 30
WORKER = "import sys; sys.path.insert(0, sys.argv[2]); from support.killed import work; work(sys.argv[1], None)"


@contextmanager
def worker_on(name: str, url: str) -> Generator[subprocess.Popen[bytes]]:
    tests = str(Path(__file__).parents[1])
    process = subprocess.Popen(["ip", "netns", "exec", name, sys.executable, "-c", WORKER, url, tests])
    try:
        yield process
    finally:
        process.kill()
        process.wait(10)


@pytest.fixture
async def permitted() -> None:
    reason = await asyncio.to_thread(why_not)
    if reason is not None:
        pytest.skip(reason)


@pytest.mark.timeout(300)
@pytest.mark.usefixtures("permitted")
async def test_a_host_that_is_cut_off_loses_its_runs_to_the_others(database: Database, database_url: str):
    with Sink(host="0.0.0.0") as sink, host(0) as first, host(1) as second:
        async with (
            listening(database_url, first.gateway) as (_, one),
            listening(database_url, second.gateway) as (_, two),
        ):
            # The runs' project names one address of the service; both hosts have a way to it.
            url = sink.url.replace("0.0.0.0", second.gateway)
            runs = await started(database, range(RUNS), url)
            with worker_on(first.name, one), worker_on(second.name, two):
                await eventually(lambda: sink.payments.total() >= 4, 120)
                await asyncio.to_thread(ip, "link", "set", first.link, "down")
                found = await outcomes(database, runs, 150)
                assert found == ["paid"] * RUNS, await stories(database, runs, found)
                await asyncio.to_thread(ip, "link", "set", first.link, "up")
                more = await started(database, range(RUNS, RUNS + 5), url)
                assert await outcomes(database, more, 120) == ["paid"] * 5
    assert set(sink.payments.values()) == {1}
    assert len(sink.payments) == RUNS + 5


@pytest.mark.usefixtures("permitted")
async def test_what_a_killed_run_left_behind_is_removed():
    """Not before its process is dead: others clean up too, at any moment."""
    with subprocess.Popen(["sleep", "600"]) as owner:  # noqa: ASYNC220  (it only begins)
        left, link = f"{PREFIX}{owner.pid}-0", f"sg{owner.pid}h0"
        try:
            ip("netns", "add", left)
            ip("link", "add", link, "type", "veth", "peer", "name", "inner", "netns", left)
            with subprocess.Popen(["ip", "netns", "exec", left, "sleep", "600"]) as process:  # noqa: ASYNC220
                await eventually(lambda: bool(ip("netns", "pids", left).split()), 60)
                remove_leftovers()
                assert left in namespaces()
                owner.kill()
                owner.wait()
                with host(0) as own:
                    remove_leftovers()
                    assert own.name in namespaces()
                assert process.wait(60) == -signal.SIGKILL
        finally:
            owner.kill()
    assert left not in namespaces()
    assert own.name not in namespaces()
    assert link not in ip("-o", "link", "show")


@pytest.mark.usefixtures("permitted")
def test_a_failure_says_what_ip_said():
    with pytest.raises(IpError, match=r"netns del signoff-none: exit 1: .*No such file"):
        ip("netns", "del", "signoff-none")
