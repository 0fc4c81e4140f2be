"""Processes forked off one that has imported everything: a start costs milliseconds instead of seconds of imports."""

from __future__ import annotations

import atexit
import multiprocessing
import os
import pkgutil
import sys
from collections.abc import Mapping, Sequence
from multiprocessing import reduction
from multiprocessing.process import BaseProcess
from typing import Any

import signoff

forkserver = multiprocessing.get_context("forkserver")
_OURS = (module.name for module in pkgutil.walk_packages(signoff.__path__, "signoff."))
forkserver.set_forkserver_preload(
    [*(name for name in _OURS if not name.endswith("__main__")), "psycopg", "uvicorn", "uvloop", "yoyo"]
)


class Descriptor:
    """An open file of ours that a new process shall have as well."""

    def __init__(self, number: int) -> None:
        self.number = number

    def __reduce__(self) -> tuple[Any, ...]:
        return _received, (reduction.DupFd(self.number),)


def _received(sent: Any) -> Descriptor:
    return Descriptor(sent.detach())


def started(
    arguments: Sequence[str], *, cwd: str, environment: Mapping[str, str], files: tuple[int, int, int]
) -> BaseProcess:
    """`signoff` with these arguments as a process of its own; `files` are its standard input, output and error."""
    opened = [Descriptor(file) for file in files]
    process = forkserver.Process(target=_command, args=(list(arguments), cwd, dict(environment), opened), daemon=True)
    process.start()
    return process


def _command(arguments: list[str], cwd: str, environment: dict[str, str], files: list[Descriptor]) -> None:
    """What the process does: as if it had been started by a shell."""
    os.chdir(cwd)
    os.environ.clear()
    os.environ.update(environment)
    for standard, file in enumerate(files):
        os.dup2(file.number, standard)
        os.close(file.number)
    sys.stdin = open(0, encoding="utf-8", closefd=False)  # noqa: SIM115  (open as long as the process)
    sys.stdout = open(1, "w", encoding="utf-8", closefd=False)  # noqa: SIM115
    sys.stderr = open(2, "w", 1, encoding="utf-8", errors="backslashreplace", closefd=False)  # noqa: SIM115
    sys.argv = ["signoff", *arguments]
    from signoff.cli.main import main  # noqa: PLC0415  (imported already, in the process that this one is forked off)

    try:
        main()
    finally:
        atexit._run_exitfuncs()  # pyright: ignore[reportPrivateUsage]  (what multiprocessing starts leaves without)
