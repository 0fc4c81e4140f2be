"""The embedded server's life: shared, killed, recovered, started where it cannot start."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from pathlib import Path

import psutil
import psycopg
import pytest

from signoff.core.errors import UnavailableError
from signoff.foundation.database import EmbeddedServer
from signoff.foundation.database.postmaster import runs_in

USER = Path(__file__).parent.parent / "support" / "server_user.py"


@pytest.fixture
def state() -> Iterator[Path]:
    """A state directory that any account can reach, removed afterwards with its server's data."""
    with tempfile.TemporaryDirectory(prefix="signoff-") as name:
        directory = Path(name)
        directory.chmod(0o755)
        yield directory
        assert runs_in(directory / "postgres") is None, "the test left a server behind"


def other_user(state: Path) -> subprocess.Popen[str]:
    """Another process that uses the server; its URL has been read when this returns."""
    user = subprocess.Popen(
        [sys.executable, str(USER), str(state)], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    )
    assert user.stdout is not None
    assert user.stdout.readline().startswith("postgresql://")
    return user


def fill(ballast: Path) -> None:
    """Take all the space that is left on the disk of a file."""
    with ballast.open("wb", buffering=0) as file:
        free_bytes = shutil.disk_usage(ballast.parent).free
        os.posix_fallocate(file.fileno(), 0, free_bytes)


def ask(url: str, statement: str) -> object:
    with closing(psycopg.connect(url, autocommit=True)) as connection:
        cursor = connection.execute(statement.encode())
        row = cursor.fetchone() if cursor.description else None
        return row[0] if row else None


def test_it_is_durable_private_and_stops(state: Path) -> None:
    server = EmbeddedServer(state)
    url = server.start()
    assert ask(url, "SHOW fsync") == "on"
    assert ask(url, "SHOW listen_addresses") == ""
    assert ask(url, "SHOW data_checksums") == "on"
    assert (state / "postgres").stat().st_mode & 0o077 == 0
    ask(url, "CREATE TABLE kept AS SELECT 7 AS number")
    server.stop()
    assert runs_in(state / "postgres") is None
    url = server.start()
    assert ask(url, "SELECT number FROM kept") == 7
    server.stop()


def test_starting_and_stopping_twice_does_no_harm(state: Path) -> None:
    server = EmbeddedServer(state, durable=False)
    server.stop()
    assert server.start() == server.start()
    server.stop()
    server.stop()


def test_two_processes_share_it_and_the_last_stops_it(state: Path) -> None:
    first = other_user(state)
    pid = runs_in(state / "postgres")
    server = EmbeddedServer(state, durable=False)
    url = server.start()
    assert runs_in(state / "postgres") == pid
    first.communicate()
    assert first.returncode == 0
    assert ask(url, "SELECT 1") == 1
    server.stop()
    assert runs_in(state / "postgres") is None


def test_many_may_start_it_at_once(state: Path) -> None:
    servers = [EmbeddedServer(state, durable=False) for _ in range(4)]
    with ThreadPoolExecutor(len(servers)) as threads:
        urls = set(threads.map(EmbeddedServer.start, servers))
        assert len(urls) == 1
        list(threads.map(EmbeddedServer.stop, servers))
    assert runs_in(state / "postgres") is None


def test_a_killed_user_leaves_no_trace(state: Path) -> None:
    killed = other_user(state)
    killed.kill()
    killed.communicate()
    pid = runs_in(state / "postgres")
    assert pid is not None
    server = EmbeddedServer(state, durable=False)
    url = server.start()
    assert runs_in(state / "postgres") == pid
    assert ask(url, "SELECT 1") == 1
    server.stop()
    assert runs_in(state / "postgres") is None


def test_a_killed_server_is_recovered_with_what_was_committed(state: Path) -> None:
    server = EmbeddedServer(state)
    url = server.start()
    ask(url, "CREATE TABLE kept AS SELECT 7 AS number")
    pid = runs_in(state / "postgres")
    assert pid is not None
    process = psutil.Process(pid)
    process.kill()
    process.wait(10)
    assert server.revive()
    assert not server.revive()
    assert ask(url, "SELECT number FROM kept") == 7
    server.stop()


def test_a_pid_that_now_belongs_to_somebody_else_is_no_server(state: Path) -> None:
    server = EmbeddedServer(state, durable=False)
    server.start()
    lines = (state / "postgres" / "postmaster.pid").read_text().splitlines()
    server.stop()
    with subprocess.Popen([sys.executable, "-c", "input()"], stdin=subprocess.PIPE) as stranger:
        (state / "postgres" / "postmaster.pid").write_text("\n".join([str(stranger.pid), *lines[1:]]) + "\n")
        assert runs_in(state / "postgres") is None
        assert ask(server.start(), "SELECT 1") == 1
        server.stop()
        assert stranger.poll() is None


def test_an_interrupted_creation_is_begun_anew(state: Path) -> None:
    (state / "postgres.new").mkdir()
    (state / "postgres.new" / "PG_VERSION").write_text("18\n")
    server = EmbeddedServer(state, durable=False)
    assert ask(server.start(), "SELECT 1") == 1
    server.stop()


def test_a_path_too_long_for_a_socket(state: Path) -> None:
    deep = state / ("a" * 60) / ("b c" * 30)
    deep.mkdir(parents=True)
    server = EmbeddedServer(deep, durable=False)
    assert ask(server.start(), "SELECT 1") == 1
    server.stop()
    assert runs_in(deep / "postgres") is None


def test_data_of_another_major_version_is_left_alone(state: Path) -> None:
    (state / "postgres").mkdir()
    (state / "postgres" / "PG_VERSION").write_text("16\n")
    with pytest.raises(UnavailableError, match="made by PostgreSQL 16"):
        EmbeddedServer(state).start()


def test_a_directory_of_something_else_is_left_alone(state: Path) -> None:
    (state / "postgres").mkdir()
    (state / "postgres" / "letters.txt").write_text("dear reader")
    with pytest.raises(UnavailableError, match="no PostgreSQL data"):
        EmbeddedServer(state).start()
    assert (state / "postgres" / "letters.txt").exists()


def test_a_log_that_cannot_be_written_is_a_clear_problem(state: Path) -> None:
    server = EmbeddedServer(state, durable=False)
    server.start()
    server.stop()
    server.log_path.unlink()
    server.log_path.mkdir()
    with pytest.raises(UnavailableError, match=r"did not start.*server\.log"):
        server.start()
    server.log_path.rmdir()
    assert ask(server.start(), "SELECT 1") == 1
    server.stop()


@pytest.mark.skipif(os.geteuid() != 0, reason="mounting a small disk needs root")
def test_a_full_disk_is_a_clear_problem_and_loses_nothing(state: Path) -> None:
    mounted = subprocess.run(
        ["mount", "-t", "tmpfs", "-o", "size=160m,mode=0755", "tmpfs", str(state)], capture_output=True, check=False
    )
    if mounted.returncode != 0:
        pytest.skip("this machine does not let us mount a small disk")
    try:
        server = EmbeddedServer(state, durable=False)
        ask(server.start(), "CREATE TABLE kept AS SELECT 7 AS number")
        server.stop()
        server.log_path.unlink()
        ballast = state / "ballast"
        fill(ballast)
        with pytest.raises(UnavailableError, match="is full: free some space"):
            server.start()
        ballast.unlink()
        assert ask(server.start(), "SELECT number FROM kept") == 7
        server.stop()
    finally:
        subprocess.run(["umount", str(state)], check=True)


@pytest.mark.skipif(os.geteuid() != 0, reason="only root has an account to lend")
def test_root_opens_none_of_its_directories(state: Path) -> None:
    state.chmod(0o700)
    server = EmbeddedServer(state, durable=False)
    url = server.start()
    assert ask(url, "SELECT 1") == 1
    assert state.stat().st_mode & 0o777 == 0o700
    assert (state / "postgres").is_symlink()
    data = (state / "postgres").resolve()
    assert data.stat().st_mode & 0o077 == 0
    pid = runs_in(data)
    assert pid is not None
    assert Path(f"/proc/{pid}").stat().st_uid != 0
    server.stop(delete=True)
    assert not data.exists()
    assert not (state / "postgres").exists()


def test_what_a_killed_process_left_of_data_that_it_removed_is_in_nobodys_way(state: Path) -> None:
    server = EmbeddedServer(state, durable=False)
    server.start()
    data = (state / "postgres").resolve()
    gone = data.with_name(f"{data.name}.gone")
    gone.mkdir()
    (gone / "base").write_text("half of it")
    server.stop(delete=True)
    assert not data.exists()
    assert not gone.exists()
    assert ask(server.start(), "SELECT 1") == 1
    server.stop(delete=True)
