"""Backup and restore to a point in time, by the scripts that operators use, on clusters of the embedded server."""

from __future__ import annotations

import shutil
import subprocess
import tempfile
from collections.abc import Iterator
from pathlib import Path

import psycopg
import pytest
from support.engine import (
    ACTOR,
    ScriptedTool,
    compiled,
    ended,
    eventually,
    journal,
    running,
    send,
    start,
    until,
    waits_for,
)

from signoff.foundation.database import Database, EmbeddedServer, migrate
from signoff.foundation.database.account import server_account
from signoff.foundation.database.binaries import locate_binaries
from signoff.foundation.settings import DatabaseSettings
from signoff.runtime.client import list_runs
from signoff.runtime.handlers import Done, Effect, StepCall, Waiting

SCRIPTS = Path(__file__).parents[2] / "deploy" / "backup"

FLOW = """
steps:
  pay: {tool: shop.pay, with: {n: 1}}
  ask: {tool: shop.ask, with: {id: "${pay.id}"}}
  ship: {tool: shop.ship, with: {answer: "${ask.answer}"}}
outcome: {shipped: ship.done}
"""


@pytest.fixture
def place() -> Iterator[Path]:
    """A directory that the server's account can use."""
    directory = Path(tempfile.mkdtemp(prefix="signoff-restore-"))
    directory.chmod(0o711)
    server_account().give(directory)
    yield directory
    shutil.rmtree(directory, ignore_errors=True)


def script(name: str, *arguments: str) -> str:
    """Run a script of ours as the server's account, from a copy that it can read."""
    account = server_account()
    programs = locate_binaries(account)
    done = subprocess.run(
        ["sh", "-c", (SCRIPTS / name).read_text(), name, *arguments],
        capture_output=True,
        text=True,
        check=False,
        timeout=100,
        cwd="/",
        env={**account.environment, "PGBIN": str(programs.directory), "VERIFY": "no"},
        **account.process_arguments,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


def archiving(server: EmbeddedServer, place: Path) -> str:
    """The URL of a server that archives its write-ahead log."""
    url = server.start()
    wal = place / "wal"
    wal.mkdir()
    server_account().give(wal)
    command = place / "archive-wal.sh"
    shutil.copy(SCRIPTS / "archive-wal.sh", command)
    command.chmod(0o755)
    with psycopg.connect(url, autocommit=True) as connection:
        connection.execute("ALTER SYSTEM SET archive_mode = on")
        connection.execute(f'ALTER SYSTEM SET archive_command = \'{command} "%p" "{wal}/%f"\'')  # type: ignore[arg-type]
    server.stop()
    return server.start()


async def recovered(url: str) -> None:
    """Return once the server accepts writes."""
    with psycopg.connect(url, autocommit=True) as connection:
        await eventually(lambda: connection.execute("SELECT pg_is_in_recovery()").fetchone() == (False,), 60)


async def opened(url: str) -> Database:
    return await Database.open(DatabaseSettings(url=url))


@pytest.mark.timeout(300)
async def test_a_restore_to_a_point_between_two_effects_shows_the_runs_of_then(place: Path):
    """What came after the point is unknown to the restored journals; done again, it has the same keys."""
    paid: list[str | None] = []
    shipped: list[str | None] = []

    def pay(call: StepCall) -> Done:
        paid.append(call.idempotency_key)
        return Done({"id": "p-1"})

    def ship(call: StepCall) -> Done:
        shipped.append(call.idempotency_key)
        return Done({})

    def ask(call: StepCall) -> Waiting:
        return Waiting(kind="signal", about="a person")

    effect = Effect(recovery="resend", settle_s=0.0)
    tool = ScriptedTool(
        {"shop.pay": pay, "shop.ask": ask, "shop.ship": ship}, {"shop.pay": effect, "shop.ship": effect}
    )
    flow = compiled("order", FLOW, shop__pay=True, shop__ask=False, shop__ship=True)
    first, second = EmbeddedServer(place / "first"), EmbeddedServer(place / "second")
    try:
        url = archiving(first, place)
        migrate(url)
        script("base-backup.sh", url, str(place / "base"))
        async with await opened(url) as database, running(database, [flow], tool):
            run_id = await start(database, flow, {"n": 1})
            await until(database, run_id, waits_for("signal"))
            with psycopg.connect(url, autocommit=True) as connection:
                connection.execute("SELECT pg_create_restore_point('between')")
            await send(database, run_id, "ask", {"answer": 42})
            assert (await ended(database, run_id)).outcome == "shipped"
            later = await start(database, flow, {"n": 2})
            with psycopg.connect(url, autocommit=True) as connection:
                connection.execute("SELECT pg_switch_wal()")
        first.stop()  # archives what is left

        (place / "second").mkdir(mode=0o711)
        server_account().give(place / "second")
        script(
            "restore.sh", str(place / "base"), str(place / "wal"), str(place / "second" / "postgres"), "name=between"
        )
        restored = second.start()
        await recovered(restored)
        async with await opened(restored) as database:
            async with database.transaction(ACTOR.org_id) as connection:
                runs = await list_runs(connection, ACTOR.org_id)
            assert [(run.run_id, run.status) for run in runs] == [(run_id, "waiting")]
            assert later not in {run.run_id for run in runs}
            steps = [event.data["step"] for event in await journal(database, run_id) if "step" in event.data]
            assert "pay" in steps
            assert "ship" not in steps  # it was shipped; this journal cannot know
            async with running(database, [flow], tool):
                await send(database, run_id, "ask", {"answer": 42})
                assert (await ended(database, run_id)).outcome == "shipped"
        assert len(paid) == 1
        assert len(shipped) == 2
        assert shipped[0] == shipped[1]  # a service that knows keys ships once
    finally:
        first.stop(delete=True)
        second.stop(delete=True)


def test_a_restore_needs_a_point_and_a_new_directory(tmp_path: Path):
    program = SCRIPTS / "restore.sh"
    for arguments, told in (
        (["b", "w", str(tmp_path / "new"), "yesterday"], "name the point"),
        (["b", "w", str(tmp_path), "name=x"], "is there already"),
    ):
        done = subprocess.run(["sh", program, *arguments], capture_output=True, text=True, check=False)
        assert (done.returncode, told in done.stderr) == (2, True)


def test_a_segment_is_archived_once_and_never_replaced(tmp_path: Path):
    program, segment, kept = SCRIPTS / "archive-wal.sh", tmp_path / "segment", tmp_path / "kept"
    segment.write_bytes(b"one")

    def archive() -> int:
        return subprocess.run(["sh", program, segment, kept], check=False).returncode

    assert (archive(), kept.read_bytes()) == (0, b"one")
    assert archive() == 0  # asked again after a crash
    segment.write_bytes(b"two")
    assert (archive() != 0, kept.read_bytes()) == (True, b"one")
    assert sorted(path.name for path in tmp_path.iterdir()) == ["kept", "segment"]
