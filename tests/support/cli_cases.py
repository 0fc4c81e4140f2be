"""The real `signoff` command, as a process of its own."""

from __future__ import annotations

import io
import json
import os
import signal
import subprocess
import sys
import threading
from collections.abc import Callable, Generator, Mapping
from contextlib import contextmanager, redirect_stderr
from dataclasses import dataclass
from pathlib import Path
from queue import Empty, Queue
from typing import Any

from typer.testing import CliRunner

from signoff.cli.output import exit_code_of, print_error
from signoff.core.errors import SignoffError

COMMAND = str(Path(sys.executable).with_name("signoff"))
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
    done = subprocess.run(
        [COMMAND, *arguments],
        cwd=cwd,
        input=given,
        stdin=None if given is not None else subprocess.DEVNULL,
        capture_output=True,
        text=True,
        timeout=TIMEOUT_S,
        check=False,
        env=environment(**(variables or {})),
    )
    return Result(done.returncode, done.stdout, done.stderr)


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
        with (cwd / "stderr.txt").open("a") as errors:
            self.popen = subprocess.Popen(
                [COMMAND, *arguments],
                cwd=cwd,
                stdin=subprocess.DEVNULL,
                stdout=subprocess.PIPE,
                stderr=errors,
                text=True,
                env=environment(**(variables or {})),
            )
        self._errors = cwd / "stderr.txt"
        self._reader = threading.Thread(target=self._read, daemon=True)
        self._reader.start()

    def _read(self) -> None:
        assert self.popen.stdout is not None
        with self.popen.stdout as lines:
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
        self.popen.send_signal(number)
        return self.ended()

    def ended(self) -> int:
        """The exit code, once it ends."""
        code = self.popen.wait(TIMEOUT_S)
        self._reader.join(TIMEOUT_S)
        return code


@contextmanager
def running(*arguments: str, cwd: Path, variables: Mapping[str, str] | None = None) -> Generator[Process]:
    """A process for the block; it is stopped at the end where it still runs."""
    process = Process(*arguments, cwd=cwd, variables=variables)
    try:
        yield process
    finally:
        if process.popen.poll() is None:
            process.popen.terminate()
            try:
                process.popen.wait(30)
            except subprocess.TimeoutExpired:
                process.popen.kill()
                process.popen.wait(10)
