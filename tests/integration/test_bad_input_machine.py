"""PostgreSQL that goes away, a disk that fills, a second demo: what a user really gets."""

from __future__ import annotations

import asyncio
import json
import os
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import AsyncIterator, Iterator
from contextlib import suppress
from http.server import BaseHTTPRequestHandler
from pathlib import Path

import httpx
import pytest
from support.api_cases import COUNT, until, write_project
from support.bad_input_cases import ENDED, INPUT, keys_of, stage
from support.cli_cases import running, signoff
from support.engine import eventually
from support.http_server import LoopbackServer, reply

from signoff.cli.workspace import AlreadyRunningError, only_dev
from signoff.foundation.database import Database, EmbeddedServer, migrate
from signoff.foundation.settings import DatabaseSettings

EXAMPLE = Path(__file__).parent.parent.parent / "examples" / "refunds"


@pytest.fixture
async def restartable() -> AsyncIterator[tuple[EmbeddedServer, Database]]:
    """A server that the test may stop and start, and a database on it that waits for it to come back."""
    with tempfile.TemporaryDirectory(prefix="signoff-") as name:
        await asyncio.to_thread(Path(name).chmod, 0o755)
        server = EmbeddedServer(Path(name), durable=False)
        url = await asyncio.to_thread(server.start)
        await asyncio.to_thread(migrate, url)
        try:
            async with await Database.open(DatabaseSettings(url=url, recovery_wait_s=2)) as database:
                yield server, database
        finally:
            await asyncio.to_thread(server.stop)


async def test_postgresql_stops_and_starts_while_runs_are_under_way(
    restartable: tuple[EmbeddedServer, Database], tmp_path: Path, shop: LoopbackServer
) -> None:
    server, database = restartable
    down = threading.Event()

    def answer(handler: BaseHTTPRequestHandler, body: bytes) -> None:
        down.wait(60)
        reply(b'{"id": "r-1"}')(handler, body)

    shop.answer = answer
    async with stage(database, tmp_path, shop_url=shop.url) as play:
        waits = await play.start("ask")
        await play.waiting(waits, "review")
        runs = [await play.start("resent") for _ in range(8)]
        await eventually(lambda: len(shop.received) >= len(runs))
        await asyncio.to_thread(server.stop)
        down.set()  # the shop has paid, and nobody can write it down
        away = await play.client.post("/v1/runs", json={"workflow": "returns/look", "input": INPUT})
        assert (away.status_code, away.headers["retry-after"]) == (503, "1")
        assert "PostgreSQL does not answer" in away.json()["detail"]
        shown = await play.command("runs", "show", runs[0])
        assert shown.code == 6
        await asyncio.to_thread(server.start)
        for run_id in runs:
            await until(play.client, f"/v1/runs/{run_id}", lambda found: found.get("status") in ENDED, 60)
            assert (await play.ended(run_id))["outcome"] == "paid"
        assert (await play.client.get(f"/v1/runs/{waits}")).json()["waiting_for"][0]["kind"] == "review"
    # Sent again under the same key where the first answer could not be kept, and never under another.
    assert keys_of(shop).keys() == {f"{run_id}/pay" for run_id in runs}


def test_a_log_that_cannot_be_written_is_told_by_the_command(tmp_path: Path) -> None:
    with tempfile.TemporaryDirectory(prefix="signoff-") as name:
        state = Path(name)
        state.chmod(0o755)
        server = EmbeddedServer(state, durable=False)
        server.start()
        server.stop()
        server.log_path.unlink()
        server.log_path.mkdir()
        write_project(tmp_path)
        result = signoff("dev", "--port", "0", cwd=tmp_path, variables={"SIGNOFF_STATE_DIRECTORY": name})
    assert result.code == 6
    assert "The embedded PostgreSQL did not start" in result.err
    assert "server.log" in result.err
    assert "Traceback" not in result.err


@pytest.fixture
def small_disk() -> Iterator[Path]:
    """A directory with a disk of its own that has room for a server and little else."""
    with tempfile.TemporaryDirectory(prefix="signoff-") as name:
        options = ["-t", "tmpfs", "-o", "size=160m,mode=0755", "tmpfs", name]
        if subprocess.run(["mount", *options], capture_output=True, check=False).returncode != 0:
            pytest.skip("this machine does not let us mount a small disk")
        try:
            yield Path(name)
        finally:
            subprocess.run(["umount", name], check=True)


@pytest.mark.skipif(os.geteuid() != 0, reason="mounting a small disk needs root")
def test_a_disk_that_fills_while_runs_are_under_way_is_told_and_loses_none(tmp_path: Path, small_disk: Path) -> None:
    write_project(tmp_path)
    variables = {"SIGNOFF_STATE_DIRECTORY": str(small_disk)}
    with running("dev", "--port", "0", "--json", cwd=tmp_path, variables=variables) as process:
        url = json.loads(process.line())["url"]
        headers = {"Authorization": f"Bearer {json.loads((small_disk / 'dev.json').read_text())['key']}"}
        body = {**COUNT, "input": {"text": "x" * 60_000, "cents": 1}}
        with httpx.Client(base_url=url, headers=headers, trust_env=False, timeout=60) as client:
            ballast = small_disk / "ballast"
            with ballast.open("wb", buffering=0) as file, suppress(OSError):
                while True:  # PostgreSQL writes meanwhile, so what is free is not known beforehand
                    file.write(bytes(64_000))
            answers = [client.post("/v1/runs", json=body)]
            while answers[-1].status_code == 201 and len(answers) < 2000:
                answers.append(client.post("/v1/runs", json=body))
            assert answers[-1].status_code == 503
            assert "No space left on device" in answers[-1].json()["detail"]
            ballast.unlink()
            runs = [answer.json()["run_id"] for answer in [*answers[:-1], client.post("/v1/runs", json=body)]]
            deadline_s = time.monotonic() + 60
            while any(client.get(f"/v1/runs/{run_id}").json()["status"] != "done" for run_id in runs):
                assert time.monotonic() < deadline_s
                time.sleep(0.1)
        assert process.stop() == 0


def test_a_second_demo_says_that_one_runs_and_touches_nothing() -> None:
    try:
        with only_dev(EXAMPLE / ".signoff"):
            done = subprocess.run(
                [sys.executable, "-m", "examples.refunds.demo", "--llm", "embedded"],
                cwd=EXAMPLE.parent.parent,
                capture_output=True,
                text=True,
                timeout=60,
                check=False,
            )
    except AlreadyRunningError:
        pytest.skip("a demo runs in this checkout")
    assert done.returncode == 1
    assert "runs for examples/refunds already" in done.stdout
    assert "Traceback" not in done.stderr
