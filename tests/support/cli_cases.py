"""The real `signoff` command, as a process of its own.

It is forked off one that has imported everything already, which saves a second each time. What a start imports is
tested in `test_cli_help`, and the installed script in `test_storage_policies`.
"""

from __future__ import annotations

import io
import json
import os
import shutil
import signal
import tempfile
import threading
from collections.abc import Callable, Generator, Mapping
from contextlib import ExitStack, contextmanager, redirect_stderr
from dataclasses import dataclass
from pathlib import Path
from queue import Empty, Queue
from typing import IO, Any

from support.forked import started
from typer.testing import CliRunner

from signoff.cli.output import exit_code_of, print_error
from signoff.core.errors import SignoffError

TIMEOUT_S = 60.0
PROMPT = "prompts/sort-message.md"


Run = Callable[..., "Result"]


def environment(**changes: str) -> dict[str, str]:
    """The process environment without settings of ours, and with these."""
    kept = {name: value for name, value in os.environ.items() if not name.startswith("SIGNOFF_")}
    return {**kept, "NO_COLOR": "", "TERM": "dumb", **changes}


@dataclass(frozen=True)
class Result:
    code: int
    out: str
    err: str


def signoff(*arguments: str, cwd: Path, given: str | None = None, variables: Mapping[str, str] | None = None) -> Result:
    """Run a command to its end."""
    with ExitStack() as stack:
        told, said, failed = (stack.enter_context(tempfile.TemporaryFile()) for _ in range(3))
        told.write((given or "").encode())
        told.seek(0)
        files = told.fileno(), said.fileno(), failed.fileno()
        process = started(arguments, cwd=str(cwd), environment=environment(**(variables or {})), files=files)
        process.join(TIMEOUT_S)
        if process.exitcode is None:
            process.kill()
            raise AssertionError(f"signoff {' '.join(arguments)} did not end in {TIMEOUT_S:.0f} s")
        return Result(process.exitcode, *(_all_of(file) for file in (said, failed)))


def _all_of(file: IO[bytes]) -> str:
    file.seek(0)
    return file.read().decode()


def inside(*arguments: str, cwd: Path, variables: Mapping[str, str] | None = None) -> Result:
    """The same in this process, which saves a second of imports; errors end as they do in `main`."""
    from signoff.cli.main import app  # noqa: PLC0415  (those who run processes need not import it)

    before, place = dict(os.environ), Path.cwd()
    os.environ.clear()
    os.environ.update(environment(**(variables or {})))
    os.chdir(cwd)
    try:
        done = CliRunner().invoke(app, list(arguments))
    finally:
        os.chdir(place)
        os.environ.clear()
        os.environ.update(before)
    if done.exception is None or isinstance(done.exception, SystemExit):
        return Result(done.exit_code, done.stdout, done.stderr)
    if not isinstance(done.exception, SignoffError):
        raise done.exception
    with redirect_stderr(io.StringIO()) as told:
        print_error(done.exception)
    return Result(exit_code_of(done.exception), done.stdout, done.stderr + told.getvalue())


def remove_data(project: Path) -> None:
    """Where root lends the server an account, its data lies outside of the test's directory, and would stay."""
    shutil.rmtree((project / ".signoff" / "postgres").resolve(), ignore_errors=True)


def edited(project: Path, old: str, new: str, file: str = PROMPT) -> None:
    path = project / file
    text = path.read_text()
    assert old in text
    path.write_text(text.replace(old, new))


def parsed(result: Result) -> Any:
    assert result.code in (0, 2), result.err
    return json.loads(result.out)


def lines(result: Result) -> list[Any]:
    assert result.code == 0, result.err
    return [json.loads(line) for line in result.out.splitlines()]


class Process:
    """A command that runs on, with its standard output read line by line."""

    def __init__(self, *arguments: str, cwd: Path, variables: Mapping[str, str] | None = None) -> None:
        self._lines: Queue[str] = Queue()
        self._errors = cwd / "stderr.txt"
        mine, its = os.pipe()
        with self._errors.open("a") as errors, Path(os.devnull).open() as nothing, os.fdopen(its, "w") as said:
            files = nothing.fileno(), said.fileno(), errors.fileno()
            self.process = started(arguments, cwd=str(cwd), environment=environment(**(variables or {})), files=files)
        self._reader = threading.Thread(target=self._read, args=(mine,), daemon=True)
        self._reader.start()

    def _read(self, pipe: int) -> None:
        with os.fdopen(pipe) as lines:
            for line in lines:
                self._lines.put(line.rstrip("\n"))

    def line(self, timeout_s: float = TIMEOUT_S) -> str:
        """The next line of its standard output."""
        try:
            return self._lines.get(timeout=timeout_s)
        except Empty:
            raise AssertionError(f"no line came: {self._errors.read_text()}") from None

    def stop(self, number: int = signal.SIGINT) -> int:
        """Send a signal and give the exit code."""
        assert self.process.pid is not None
        os.kill(self.process.pid, number)
        return self.ended()

    def ended(self) -> int:
        """The exit code, once it ends."""
        self.process.join(TIMEOUT_S)
        assert self.process.exitcode is not None, "it does not end"
        self._reader.join(TIMEOUT_S)
        return self.process.exitcode


@contextmanager
def running(*arguments: str, cwd: Path, variables: Mapping[str, str] | None = None) -> Generator[Process]:
    """A process for the block; it is stopped at the end where it still runs."""
    process = Process(*arguments, cwd=cwd, variables=variables)
    try:
        yield process
    finally:
        if process.process.exitcode is None:
            process.process.terminate()
            process.process.join(30)
            process.process.kill()  # where that was not enough
            process.process.join(10)
