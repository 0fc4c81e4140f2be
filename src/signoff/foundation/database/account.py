"""Under which account the embedded server runs. PostgreSQL refuses to run as root, so root lends it an account.

Nothing of root's is opened to that account: where it cannot reach the project, the data lives in `/var/lib/signoff`
and the project holds a symbolic link to it.
"""

from __future__ import annotations

import os
import pwd
import secrets
import shutil
import stat
import subprocess
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from signoff.core.errors import UnavailableError

ACCOUNT_NAME = "signoff-postgres"
SYSTEM_DIRECTORY = Path("/var/lib/signoff")

_USERADD_TIMEOUT_S = 30


@dataclass(frozen=True, slots=True)
class ServerAccount:
    """The account that the server's processes get.

    Attributes:
        uid: its user id, or none to stay who we are.
        gid: its group id, or none likewise.
    """

    uid: int | None = None
    gid: int | None = None

    @property
    def process_arguments(self) -> dict[str, Any]:
        """What `subprocess` needs to start a process under this account."""
        if self.uid is None:
            return {}
        return {"user": self.uid, "group": self.gid, "extra_groups": []}

    @property
    def environment(self) -> dict[str, str]:
        """The environment of the server's processes: nothing of ours, which may hold secrets, and no PG* variables."""
        return {"PATH": os.environ.get("PATH", os.defpath), "LC_ALL": "C", "TZ": "UTC"}

    def give(self, path: Path) -> None:
        """Make a directory the account's own."""
        if self.uid is not None and self.gid is not None:
            os.chown(path, self.uid, self.gid)

    def can_reach(self, path: Path) -> bool:
        """Whether the account may pass through every directory above, by their mode (an access list is not counted)."""
        return self.uid is None or all(self._may_enter(parent.stat()) for parent in path.resolve().parents)

    def can_run(self, program: Path) -> bool:
        """Whether the account may run a program."""
        return self.uid is None or (self.can_reach(program) and self._may_enter(program.stat()))

    def place_for(self, wanted: Path) -> Path:
        """Where the directory really is or shall be: `wanted`, or behind it where the account cannot reach it."""
        if wanted.is_symlink():
            return wanted.resolve()
        if wanted.exists() or self.can_reach(wanted):
            return wanted
        target = system_directory() / f"data-{secrets.token_hex(8)}"
        wanted.symlink_to(target)
        return target

    def _may_enter(self, status: os.stat_result) -> bool:
        if status.st_uid == self.uid:
            return bool(status.st_mode & stat.S_IXUSR)
        if status.st_gid == self.gid:
            return bool(status.st_mode & stat.S_IXGRP)
        return bool(status.st_mode & stat.S_IXOTH)


def server_account() -> ServerAccount:
    """The account to use in this process.

    Raises:
        UnavailableError: we are root and the account can be neither found nor made.
    """
    if os.geteuid() != 0:
        return ServerAccount()
    try:
        entry = pwd.getpwnam(ACCOUNT_NAME)
    except KeyError:
        entry = _create_account()
    return ServerAccount(entry.pw_uid, entry.pw_gid)


def system_directory() -> Path:
    """Root's directory for what the account must reach; nobody else may write in it."""
    if not SYSTEM_DIRECTORY.exists():
        SYSTEM_DIRECTORY.mkdir(parents=True, exist_ok=True)
        SYSTEM_DIRECTORY.chmod(0o755)  # whatever our umask
    status = SYSTEM_DIRECTORY.lstat()
    if not stat.S_ISDIR(status.st_mode) or status.st_uid != 0 or status.st_mode & (stat.S_IWGRP | stat.S_IWOTH):
        raise UnavailableError(f"{SYSTEM_DIRECTORY} must be a directory of root's that nobody else can write to")
    return SYSTEM_DIRECTORY


def _create_account() -> pwd.struct_passwd:
    advice = "Run Signoff as an ordinary user, or set SIGNOFF_DATABASE__URL to a PostgreSQL server of yours."
    program = shutil.which("useradd", path=f"{os.environ.get('PATH', os.defpath)}:/usr/sbin:/sbin")
    if program is None:
        raise UnavailableError(f"PostgreSQL does not run as root, and there is no useradd to make an account. {advice}")
    command = [program, "--system", "--user-group", "--no-create-home", "--home-dir", "/nonexistent"]
    command += ["--shell", "/usr/sbin/nologin", ACCOUNT_NAME]
    done = subprocess.run(command, capture_output=True, text=True, timeout=_USERADD_TIMEOUT_S, check=False)  # noqa: S603  (a fixed command)
    try:
        # Asked by name again: another process may have made it at the same moment, and then useradd fails.
        return pwd.getpwnam(ACCOUNT_NAME)
    except KeyError:
        raise UnavailableError(
            f"PostgreSQL does not run as root, and the account {ACCOUNT_NAME} cannot be made: "
            f"{done.stderr.strip()}. {advice}"
        ) from None
