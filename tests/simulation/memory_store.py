"""The engine's tables in memory: what each statement of the engine does, without PostgreSQL.

One method per statement, named like its constant. A statement is atomic; a transaction has the whole store to itself.
`test_simulation_conformance.py` holds the methods to what PostgreSQL does.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import UUID

from signoff.foundation.database import UniqueViolation

Row = dict[str, Any]
EPOCH, MICROSECOND = datetime(1970, 1, 1, tzinfo=UTC), timedelta(microseconds=1)
TABLES = ("sessions", "runs", "queue", "views", "journal", "inbox", "approvals", "generations", "emitted", "servers")


def nobody(session_id: UUID, run_id: UUID) -> None:
    """Nobody watches."""


class MemoryStore:
    """Tables as dictionaries by key. Rows are never changed in place, so that a copy of a table is a snapshot.

    Args:
        now: the server's clock.
        locked: whether somebody else has that run's row locked now; statements that skip locked rows skip it.
        left: told of each run that a session parked or finished.
    """

    def __init__(
        self,
        now: Callable[[], datetime],
        *,
        locked: Callable[[UUID], bool] = lambda _: False,
        left: Callable[[UUID, UUID], None] = nobody,
    ) -> None:
        self._now = now
        self._locked = locked
        self._left = left
        self.sessions: dict[UUID, Row] = {}
        self.runs: dict[UUID, Row] = {}
        self.queue: dict[UUID, Row] = {}
        self.views: dict[UUID, Row] = {}
        self.journal: dict[tuple[UUID, int], Row] = {}
        self.inbox: dict[UUID, Row] = {}
        self.approvals: dict[str, Row] = {}
        self.generations: dict[tuple[UUID, str], int] = {}
        self.timeline = 1
        self.servers: dict[int, Row] = {}
        self.emitted: dict[tuple[UUID, str], Row] = {}

    def snapshot(self) -> dict[str, Any]:
        """All tables as they are."""
        return {name: dict(getattr(self, name)) for name in TABLES}

    def restore(self, snapshot: dict[str, Any]) -> None:
        """Put the tables back as they were."""
        for name, table in snapshot.items():
            setattr(self, name, table)

    # --- sessions ----------------------------------------------------------------------------------------------

    def open_session(self, session_id: UUID, host: str, process_id: int, lease_s: float, *_: Any) -> None:
        self.sessions[session_id] = {"id": session_id, "expires_at": self._now() + timedelta(seconds=lease_s)}

    def server(self) -> list[Row]:
        facts = {"fsync": "on", "full_page_writes": "on", "synchronous_commit": "on", "synchronous_standby_names": ""}
        return [{"system_identifier": 1, "timeline": self.timeline, "standbys": 0, **facts}]

    def meet_server(self, _: int, timeline: int) -> list[Row]:
        if timeline in self.servers:
            return []
        self.servers[timeline] = {"broke": bool(self.servers), "seen_at": self._now()}
        return [{"broke": self.servers[timeline]["broke"]}]

    def last_break(self) -> list[Row]:
        return [{"max": max((row["seen_at"] for row in self.servers.values() if row["broke"]), default=None)}]

    def heartbeat(self, session_id: UUID, lease_s: float) -> list[Row]:
        if session_id not in self.sessions:
            return []
        self.sessions[session_id] = {"id": session_id, "expires_at": self._now() + timedelta(seconds=lease_s)}
        return [{"id": session_id}]

    def close_session(self, session_id: UUID) -> None:
        self.sessions.pop(session_id, None)

    def reap_sessions(self) -> list[Row]:
        dead = [session_id for session_id, row in self.sessions.items() if row["expires_at"] < self._now()]
        for session_id in dead:
            del self.sessions[session_id]
        return [{"id": session_id, "client": ""} for session_id in dead]

    def release_orphans(self, now: datetime) -> list[Row]:
        freed = [
            row
            for run_id, row in self.queue.items()
            if row["owner"] is not None and row["owner"] not in self.sessions and not self._locked(run_id)
        ]
        for row in freed:
            self._queued(row, owner=None, due_at=min(row["due_at"], now))
        return [{"run_id": row["run_id"]} for row in freed]

    def release_runs(self, session_id: UUID, run_ids: Sequence[UUID], due_at: datetime) -> None:
        for run_id in run_ids:
            row = self.queue.get(run_id)
            if row is not None and row["owner"] == session_id:
                self._queued(row, owner=None, due_at=due_at)

    # --- claiming and loading ----------------------------------------------------------------------------------

    def count_crashes(self, owners: Sequence[UUID]) -> None:
        for run_id, row in list(self.queue.items()):
            if row["owner"] in owners:
                self._queued(self.queue[run_id], crashes=row.get("crashes", 0) + 1)

    def note_crash(self, run_id: UUID, place: str) -> list[Row]:
        row = self.queue[run_id]
        crashes = row["crashes"] if row.get("crashed_at") == place else 1
        self._queued(row, crashes=crashes, crashed_at=place)
        return [{"crashes": crashes}]

    def forget_crashes(self, run_id: UUID) -> None:
        self._queued(self.queue[run_id], crashes=0, crashed_at=None)

    def claim(self, session_id: UUID, now: datetime, limit: int, *_: Any) -> list[Row]:
        return self._claim(session_id, now, limit, self.queue)

    def _claim(self, session_id: UUID, now: datetime, limit: int, among: Mapping[UUID, Row]) -> list[Row]:
        if session_id not in self.sessions:
            return []
        free = [
            row
            for run_id, row in among.items()
            if row["owner"] is None and row["due_at"] <= now and not self._locked(run_id)
        ]
        free.sort(key=lambda row: (row["priority"], row["due_at"]))
        for row in free[:limit]:
            self._queued(row, owner=session_id)
        return [{**row, "queue": None, "began_at": None, "team": ""} for row in free[:limit]]

    def claim_named(self, session_id: UUID, named: Sequence[UUID], now: datetime, *_: Any) -> list[Row]:
        among = {run_id: self.queue[run_id] for run_id in named if run_id in self.queue}
        return self._claim(session_id, now, len(among), among)

    def claim_behind(self, session_id: UUID, now: datetime, limit: int, *arrays: Any) -> list[Row]:
        return self._claim(session_id, now, limit, self._behind(*arrays[2:7]))

    def _behind(
        self, org_ids: Any, teams: Sequence[str], priorities: Any, dues: Any, run_ids: Any
    ) -> Mapping[UUID, Row]:
        lanes = list(zip(_uuids(org_ids), _numbers(priorities), strict=True))
        last = dict(zip(lanes, zip(_moments(dues), _uuids(run_ids), strict=True), strict=True)) if teams else {}
        places = {run_id: last.get((row["org_id"], row["priority"])) for run_id, row in self.queue.items()}
        return {
            run_id: row
            for run_id, row in self.queue.items()
            if (place := places[run_id]) is not None and (row["due_at"], run_id) > place
        }

    def next_due_behind(self, *lanes: Any) -> list[Row]:
        free = [row["due_at"] for row in self._behind(*lanes).values() if row["owner"] is None]
        return [{"min": min(free, default=None)}]

    def load(self, session_id: UUID, run_ids: Any) -> list[Row]:
        run_ids = _uuids(run_ids)
        journals = [row for row in sorted(self.journal.values(), key=_place) if row["run_id"] in set(run_ids)]
        nothing: Row = dict.fromkeys(("gen", "message_id", "path", "sent_by", "place"))
        inboxes = [{**row, "seq": None, "recorded_at": None} for row in self.load_inbox(session_id, run_ids)]
        return [*({**row, **nothing} for row in journals), *inboxes]

    def load_inbox(self, session_id: UUID, run_ids: Sequence[UUID]) -> list[Row]:
        found: list[Row] = []
        nothing: Row = dict.fromkeys(("message_id", "path", "kind", "sent_by", "data", "place"))
        for run_id in sorted(set(run_ids) & self.queue.keys()):
            row = self.queue[run_id]
            if row["owner"] != session_id:
                continue
            messages = [message for message in self.inbox.values() if message["run_id"] == run_id]
            messages.sort(key=lambda message: (message["place"], message["message_id"]))
            found += [{**message, "run_id": run_id, "gen": row["gen"]} for message in messages or [nothing]]
        return found

    def resident_with_messages(self, session_id: UUID) -> list[Row]:
        with_messages = {message["run_id"] for message in self.inbox.values()}
        return [{"run_id": row["run_id"]} for row in self._owned(session_id) if row["run_id"] in with_messages]

    def next_due(self) -> list[Row]:
        return [{"min": min((row["due_at"] for row in self.queue.values() if row["owner"] is None), default=None)}]

    # --- writing -----------------------------------------------------------------------------------------------

    def append(self, session_id: UUID, *arrays: Sequence[Any]) -> list[Row]:
        _, run_ids, seqs, kinds, moments, data, _, *others = arrays
        events = _rows((_uuids(run_ids), _numbers(seqs), _texts(kinds), _moments(moments), data))
        of, *shown, updated_at, ended_at, _ = others[0:9]
        views = _rows((_uuids(of), *shown, _moments(updated_at), _moments(ended_at)))
        finished = _rows((_uuids(others[9]), _numbers(others[10])))
        drained, parked, keys = _rows(others[11:13]), _rows(others[13:18]), _rows(others[18:22])
        if session_id not in self.sessions:
            return [{"fenced": 0, "appended": 0, "finished": [], "parked": [], "moved": []}]
        moved = {run_id for run_id, org_id, key, held in keys if self.generations.get((org_id, key), 0) != held}
        ours = {row["run_id"]: row for row in self._owned(session_id) if row["run_id"] not in moved}
        written = [event for event in events if event[0] in ours]
        if any((event[0], event[1]) in self.journal for event in written):
            raise UniqueViolation("journal_pkey")
        for run_id, seq, kind, recorded_at, data in written:
            row = {"run_id": run_id, "seq": seq, "kind": kind, "recorded_at": recorded_at, "data": data}
            self.journal[run_id, seq] = {**row, "org_id": ours[run_id]["org_id"], "session_id": session_id}
        for run_id, *facts in views:
            if run_id in ours:
                names = ("status", "outcome", "waiting_for", "error", "usage", "updated_at", "ended_at")
                self.views[run_id] = {**self.views[run_id], **dict(zip(names, facts, strict=True))}
        for run_id, message_id in drained:
            if run_id in ours:
                self.inbox.pop(message_id, None)
        gone = [run_id for run_id, gen in finished if self._may_leave(ours, run_id, gen)]
        resting = [row for row in parked if self._may_leave(ours, row[0], row[1])]
        for run_id in gone:
            del self.queue[run_id]
            self._left(session_id, run_id)
        for run_id, _, due_at, *_ in resting:
            self._queued(self.queue[run_id], owner=None, due_at=due_at)
            self._left(session_id, run_id)
        left = {"finished": gone, "parked": [row[0] for row in resting], "moved": list(moved)}
        return [{"fenced": 1, "appended": len(written), **left}]

    def append_plain(self, session_id: UUID, *arrays: Sequence[Any]) -> list[Row]:
        nothing: list[Sequence[Any]] = [()] * 11
        return self.append(session_id, *arrays, *nothing)

    def _may_leave(self, ours: dict[UUID, Row], run_id: UUID, gen: int) -> bool:
        return run_id in ours and ours[run_id]["gen"] == gen and not self._locked(run_id)

    def fence(self, session_id: UUID, run_id: UUID) -> list[Row]:
        row = self.queue.get(run_id)
        held = session_id in self.sessions and row is not None and row["owner"] == session_id
        return [{"id": session_id}] if held else []

    def use_approval(self, review_id: str, org_id: UUID, run_id: UUID, *facts: Any) -> list[Row]:
        path, seq, *_ = facts
        used = self.approvals.setdefault(review_id, {"run_id": run_id, "path": path, "seq": seq})
        return [{"review_id": review_id}] if (used["run_id"], used["path"]) == (run_id, path) else []

    def key_generation(self, org_id: UUID, key: str) -> list[Row]:
        held = self.generations.get((org_id, key))
        return [] if held is None else [{"generation": held}]

    def next_generation(self, org_id: UUID, key: str, generation: int) -> None:
        self.generations[org_id, key] = max(self.generations.get((org_id, key), 0), generation)

    # --- the control plane -------------------------------------------------------------------------------------

    def start(self, run_id: UUID, org_id: UUID, *facts: Any) -> list[Row]:
        """A run, its queue row, its projection and its first event."""
        workflow, version, release, key, digest, started_by, now, priority, data, *_ = facts
        if key is not None and any(run["org_id"] == org_id and run["key"] == key for run in self.runs.values()):
            return []
        run = {"run_id": run_id, "org_id": org_id, "workflow": workflow, "workflow_version": version}
        self.runs[run_id] = {**run, "release": release, "key": key, "request_digest": digest, "started_by": started_by}
        queued = {"run_id": run_id, "org_id": org_id, "priority": priority, "due_at": now, "owner": None, "gen": 0}
        self.queue[run_id] = queued
        nothing = {"outcome": None, "waiting_for": "[]", "error": None, "usage": "{}", "ended_at": None}
        self.views[run_id] = {**run, "status": "queued", "started_at": now, "updated_at": now, **nothing}
        event = {"run_id": run_id, "seq": 1, "kind": "run.started", "recorded_at": now, "data": data}
        self.journal[run_id, 1] = {**event, "org_id": org_id, "session_id": None}
        return [{"run_id": run_id}]

    def bump(self, org_id: UUID, run_id: UUID, now: datetime, *_: Any) -> list[Row]:
        row = self.queue.get(run_id)
        if row is None or row["org_id"] != org_id:
            return []
        self._queued(row, gen=row["gen"] + 1, due_at=min(row["due_at"], now))
        return [{"gen": row["gen"] + 1}]

    def exists(self, org_id: UUID, run_id: UUID) -> list[Row]:
        view = self.views.get(run_id)
        return [] if view is None else [{"status": view["status"]}]

    def inbox_size(self, run_id: UUID) -> list[Row]:
        return [{"count": sum(message["run_id"] == run_id for message in self.inbox.values())}]

    def send(self, message_id: UUID, org_id: UUID, run_id: UUID, *facts: Any) -> None:
        path, kind, sent_by, sent_at, data = facts
        message = {"message_id": message_id, "run_id": run_id, "path": path, "kind": kind, "sent_by": sent_by}
        message |= {"org_id": org_id, "sent_at": sent_at, "data": data, "place": self.queue[run_id]["gen"]}
        self.inbox.setdefault(message_id, message)

    def read_journal(self, org_id: UUID, run_id: UUID, after: int, limit: int, size_bytes: int) -> list[Row]:
        rows = [row for row in self.journal.values() if row["run_id"] == run_id and row["seq"] > after]
        return sorted(rows, key=_place)[:limit]

    def journal_of(self, run_id: UUID) -> list[Row]:
        """A run's events, in order."""
        return sorted((row for (owner, _), row in self.journal.items() if owner == run_id), key=_place)

    # --- parts -------------------------------------------------------------------------------------------------

    def _queued(self, row: Row, **changes: Any) -> None:
        self.queue[row["run_id"]] = {**row, **changes}

    def _owned(self, session_id: UUID) -> list[Row]:
        return [row for row in self.queue.values() if row["owner"] == session_id]


def _place(row: Row) -> tuple[UUID, int]:
    return (row["run_id"], row["seq"])


def _texts(array: Any) -> list[str]:
    """What PostgreSQL reads in the text of an array."""
    return [text for text in str(array).strip("{}").split(",") if text]


def _uuids(array: Any) -> list[UUID]:
    return [UUID(text) for text in _texts(array)]


def _numbers(array: Any) -> list[int]:
    return [int(text) for text in _texts(array)]


def _moments(array: Any) -> list[datetime | None]:
    return [None if text == "NULL" else EPOCH + int(text) * MICROSECOND for text in _texts(array)]


def _rows(columns: Iterable[Sequence[Any]]) -> list[tuple[Any, ...]]:
    return list(zip(*columns, strict=True))
