"""The checks, each with what it found and what to do about it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from typing import Any, Literal

from signoff.core.clock import Clock
from signoff.foundation.database import Connection
from signoff.foundation.database.preparing import OLDEST_VERSION
from signoff.runtime.continuity import unsafe_settings
from signoff.runtime.diagnosis import store
from signoff.runtime.partitions import covered

Status = Literal["ok", "warning", "failed"]

LONG_TRANSACTION_S = 300.0
SKEW_S = 1.0
"""Between this host's clock and the server's: retries and timeouts come that much early or late."""
LEAST_FREE_BYTES = 5 * 1024**3
LEAST_FREE_SHARE = 0.1
CROWDED_SHARE = 0.9


@dataclass(frozen=True, slots=True)
class Finding:
    """What one check found.

    Attributes:
        check: its name.
        status: ok; warning: it works, and something deserves a look; failed: the promise or the work is at risk.
        detail: what was found.
        todo: what to do about it; empty where all is well.
    """

    check: str
    status: Status
    detail: str
    todo: str = ""

    def as_dict(self) -> dict[str, str]:
        """The finding for JSON."""
        return asdict(self)


async def diagnose(
    connection: Connection, *, clock: Clock, lease_s: float, disk: tuple[int, int] | None
) -> list[Finding]:
    """Every check, in the order of what to look at first.

    Args:
        connection: as the worker role.
        clock: this host's.
        lease_s: the workers' lease, in seconds.
        disk: bytes free and in all where the server keeps its data; none where that is not to be seen from here.
    """
    before = clock.now()
    server: Any = await connection.fetchrow(store.SERVER)
    skew_s = (server["now"] - before).total_seconds() - (clock.now() - before).total_seconds() / 2
    months = await covered(connection)
    found = [_version(server), *_durability(server), _replication(server), _idle_timeout(server, lease_s)]
    found += [_skew(skew_s), _connections(server), _disk(server, disk)]
    found.append(
        Finding("partitions", "ok", f"the journal has months until {months.last:%Y-%m}")
        if months.months_ahead >= 1
        else Finding(
            "partitions",
            "failed",
            f"the journal ends with {months.last:%Y-%m}: starts fail from the next month on",
            "Start a worker, which makes the coming months, and look into its log if it cannot.",
        )
    )
    return [*found, *await _work(connection)]


async def _work(connection: Connection) -> list[Finding]:
    """Whether runs move."""
    sessions: Any = await connection.fetchrow(store.SESSIONS)
    stuck: Any = await connection.fetchrow(store.STUCK)
    overdue: Any = await connection.fetchrow(store.OVERDUE)
    long: Any = await connection.fetchrow(store.LONG_TRANSACTIONS, LONG_TRANSACTION_S)
    breaks: Any = await connection.fetchrow(store.BREAKS)
    begin = "see 'history' below before you start a worker." if breaks["unmet"] else "start a worker."
    return [
        _of(
            "workers",
            sessions["dead"] == 0,
            f"{sessions['alive']} alive, {sessions['dead']} dead for a minute or more",
            f"No worker removes the dead ones' rows (one ran on {sessions['host']}): {begin}",
        ),
        _of(
            "stuck runs",
            stuck["stuck"] == 0,
            f"{stuck['stuck']} runs are stuck",
            f"Look at each: signoff runs list --status stuck; signoff runs explain {stuck['run_id']}.",
            "warning",
        ),
        _of(
            "overdue runs",
            overdue["overdue"] == 0,
            f"{overdue['overdue']} runs are due for a minute or more"
            + (f", the first since {overdue['since']:%Y-%m-%d %H:%M:%S} UTC" if overdue["overdue"] else ""),
            "Start more workers, or find out what those that run are busy with.",
        ),
        _of(
            "long transactions",
            long["long"] == 0,
            f"{long['long']} transactions are open for 5 minutes or more",
            "End them (pg_stat_activity names them): dead rows cannot be removed meanwhile, and claims get slow.",
            "warning",
        ),
        *await _kept(connection),
        _history(breaks),
    ]


def _history(breaks: Any) -> Finding:
    """Whether the server is the one that workers know, or has taken its place and may lack commits."""
    if breaks["unmet"]:
        return Finding(
            "history",
            "failed",
            "this server is not the one that workers knew: it failed over or was restored, and may lack the latest"
            " commits",
            "Start no worker before you have done what 'After a restore' in the guide on operations says. The first"
            " worker notes it, and holds effects of runs from before until it is known what became of them.",
        )
    return _of(
        "history",
        breaks["breaks"] == 0,
        f"the server failed over or was restored {breaks['breaks']} times"
        + (f", last seen at {breaks['latest']:%Y-%m-%d %H:%M:%S} UTC" if breaks["breaks"] else ""),
        "Runs from before look each effect up before they send it, or ask a person where nobody can look: signoff runs"
        " list --where \"status = 'waiting'\". Runs that were started in what was lost are gone: compare with those who"
        " start them.",
        "warning",
    )


async def _kept(connection: Connection) -> list[Finding]:
    """What is to leave, or to be encrypted."""
    retention: Any = await connection.fetchrow(store.RETENTION)
    vaults: Any = await connection.fetchrow(store.VAULTS)
    return [
        _of(
            "retention",
            retention["failing"] == 0,
            f"{retention['failing']} batches of finished runs cannot be archived or dropped"
            + (f", one of project {retention['project']}: {retention['problem']}" if retention["failing"] else ""),
            "Nothing of them is lost. Put right what it says, then: signoff retention run, or wait for a worker.",
            "warning",
        ),
        _of(
            "vaults",
            vaults["plain"] == 0,
            f"{vaults['vaults']} runs have a vault of personal data, {vaults['plain']} are not encrypted by Signoff"
            + (f"; keys in use: {vaults['keys']}" if vaults["keys"] else ""),
            "Set SIGNOFF_VAULT__KEYS_FILE on every worker. What is there already stays plain until the run adds to it,"
            " or leaves.",
            "warning",
        ),
    ]


def worst(found: Sequence[Finding]) -> Status:
    """The worst status of all."""
    statuses = {finding.status for finding in found}
    return "failed" if "failed" in statuses else "warning" if "warning" in statuses else "ok"


def _of(check: str, good: bool, detail: str, todo: str, bad: Status = "failed") -> Finding:
    return Finding(check, "ok", detail) if good else Finding(check, bad, detail, todo)


def _version(server: Any) -> Finding:
    good = server["version"] >= OLDEST_VERSION
    return _of("PostgreSQL version", good, server["version_text"], "Use PostgreSQL 16 or newer; 18 is what is tested.")


def _durability(server: Any) -> list[Finding]:
    return [
        _of(name, server[name] != "off", f"{name} is {server[name]}", f"Set {name} to on: a crash can lose commits.")
        for name in ("fsync", "full_page_writes", "synchronous_commit")
    ]


def _replication(server: Any) -> Finding:
    told = [warning for warning in unsafe_settings(server) if "standby" in warning]
    detail = f"{server['standbys']} standbys; synchronous_standby_names is '{server['synchronous_standby_names']}'"
    return _of("replication", not told, detail, "; ".join(told))


def _idle_timeout(server: Any, lease_s: float) -> Finding:
    timeout_s = server["idle_timeout_ms"] / 1000
    return _of(
        "idle transactions",
        0 < timeout_s <= lease_s,
        f"a transaction may sit idle for {timeout_s:g} s; the lease is {lease_s:g} s",
        "Set SIGNOFF_DATABASE__IDLE_IN_TRANSACTION_TIMEOUT_S to the lease or less: whoever hangs would hold locks.",
    )


def _skew(skew_s: float) -> Finding:
    return _of(
        "clock",
        abs(skew_s) <= SKEW_S,
        f"this host's clock and the server's differ by {abs(skew_s):.2f} s",
        "Keep both by NTP. No guarantee rests on it; schedules, timeouts and retries come that much early or late.",
        "warning",
    )


def _connections(server: Any) -> Finding:
    used, most = server["connections"], server["max_connections"]
    todo = "Raise max_connections, lower the pools' sizes, or put a pooler in between (see the guide on operations)."
    return _of("connections", used < most * CROWDED_SHARE, f"{used} of {most} in use", todo, "warning")


def _disk(server: Any, disk: tuple[int, int] | None) -> Finding:
    size = f"the database has {server['size_bytes'] / 1024**3:.1f} GiB"
    if disk is None:
        return Finding("disk", "ok", f"{size}; the server's disk cannot be seen from here")
    free, total = disk
    good = free >= min(LEAST_FREE_BYTES, total * LEAST_FREE_SHARE)
    detail = f"{size}; {free / 1024**3:.1f} of {total / 1024**3:.1f} GiB are free"
    return _of("disk", good, detail, "Make room or add some: a full disk stops all runs, and loses none.")
