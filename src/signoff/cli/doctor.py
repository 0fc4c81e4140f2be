"""`signoff doctor`: whether the database keeps what Signoff promises, and whether work moves."""

from __future__ import annotations

import shutil
from typing import TYPE_CHECKING

import typer

from signoff.cli.options import JsonOption, ProjectOption, examples
from signoff.cli.output import EXIT_FAILURE, clean, print_json

if TYPE_CHECKING:
    from signoff.foundation.settings import Settings
    from signoff.runtime.diagnosis import Finding

MARKS = {"ok": "ok  ", "warning": "warn", "failed": "FAIL"}


def doctor(project: ProjectOption = None, as_json: JsonOption = False) -> None:
    """Look at the database's settings, disk and clock, and at runs that do not move; say what to do about each.

    Works on the database directly: that of SIGNOFF_DATABASE__URL, else the project's own embedded one. Exit code 1
    where a check failed; warnings alone give 0.
    """
    import asyncio

    from signoff.cli.workspace import rooms_of, settings_of
    from signoff.core.clock import SystemClock
    from signoff.foundation.database import open_database
    from signoff.runtime.diagnosis import diagnose, worst

    settings, rooms = settings_of(project), rooms_of()

    async def work() -> list[Finding]:
        async with open_database(settings) as database, database.worker_connection() as connection:
            lease_s = rooms.engine.lease_s
            return await diagnose(connection, clock=SystemClock(), lease_s=lease_s, disk=_disk(settings))

    found = asyncio.run(work())
    status = worst(found)
    if as_json:
        print_json({"status": status, "checks": [finding.as_dict() for finding in found]})
    else:
        for finding in found:
            print(f"{MARKS[finding.status]}  {finding.check}: {clean(finding.detail)}")
            if finding.todo:
                print(f"      {clean(finding.todo)}")
    raise typer.Exit(EXIT_FAILURE if status == "failed" else 0)


def _disk(settings: Settings) -> tuple[int, int] | None:
    """Bytes free and in all where the embedded server keeps its data; another server's disk is not seen from here."""
    if settings.database.url:
        return None
    usage = shutil.disk_usage(settings.state_path)
    return usage.free, usage.total


DOCTOR_EXAMPLES = examples("signoff doctor", "SIGNOFF_DATABASE__URL=postgresql://… signoff doctor --json")
