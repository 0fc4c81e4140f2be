"""The journal's events: kinds, encoding. An event is a fact; once appended it is never changed.

| kind               | says                                                                                  |
|--------------------|---------------------------------------------------------------------------------------|
| `run.started`      | who started which workflow of which release with which input                           |
| `step.started`     | a step without an outside effect begins a try; holds its evaluated arguments           |
| `effect.intended`  | a step with an effect is about to act: arguments and idempotency key; durable first    |
| `step.noted`       | a fact a step recorded: a policy decision, a model call                                |
| `step.retrying`    | a try failed; when the next comes                                                      |
| `step.waiting`     | a step waits for a message or a moment                                                 |
| `step.ended`       | a step's end: status, output, labels                                                   |
| `group.turned`     | an iteration of a group has ended, and the group goes on: what it gave, whether it repeats |
| `message.received` | something arrived through the inbox                                                    |
| `run.unwinding`    | nothing new starts; effects settle, then compensations run in reverse                  |
| `run.stuck`        | the journal and the definition disagree; a person must look                            |
| `run.paused`       | nothing new begins until it is resumed                                                 |
| `run.resumed`      | the pause is over                                                                      |
| `run.reopened`     | it goes on after its end; names the steps that are void and run again                  |
| `run.migrated`     | it goes on under another release                                                       |
| `run.attributes`   | values that the run is searched by, each journaled once                                |
| `run.continued`    | its loop goes on in another run, with a journal of its own                             |
| `run.ended`        | the run's end: status and outcome                                                      |
"""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime
from typing import Any, Literal

import orjson

from signoff.core.values import value
from signoff.runtime.codec import LAST_HEADER, PAYLOADS, CodecError, DamagedError

_LAST_HEADER = bytes((LAST_HEADER,))
_dumps, _loads, _UTC_Z = orjson.dumps, orjson.loads, orjson.OPT_UTC_Z  # looked up once, not with every event

EventKind = Literal[
    "run.started",
    "step.started",
    "effect.intended",
    "step.noted",
    "step.retrying",
    "step.waiting",
    "step.ended",
    "group.turned",
    "message.received",
    "run.unwinding",
    "run.stuck",
    "run.paused",
    "run.resumed",
    "run.reopened",
    "run.migrated",
    "run.attributes",
    "run.continued",
    "run.ended",
]


@value
class Event:
    """One row of a run's journal."""

    seq: int
    kind: EventKind
    recorded_at: datetime
    data: Mapping[str, Any]


def encode(data: Mapping[str, Any]) -> bytes:
    """JSON bytes of an event's data.

    Raises:
        TypeError: it holds something that JSON has no form for.
    """
    return _dumps(data, None, _UTC_Z)


def decode(data: bytes) -> Any:
    """The data of an event as it was encoded, also where a codec wrote it; timestamps come back as text.

    Raises:
        CodecError: no codec here can read it, or it is damaged.
    """
    try:
        return _loads(data if data[:1] > _LAST_HEADER else PAYLOADS.unpack(data))
    except orjson.JSONDecodeError as error:
        raise DamagedError(f"the data is no JSON: {error}") from error


def unreadable(seq: int, error: CodecError) -> CodecError:
    """The same error, with which event of a journal it is."""
    return type(error)(f"event {seq} cannot be read: {error.detail}")


def require_next(seq: int, last_seq: int) -> None:
    """Return only where an event is the next one of its journal, which counts from 1 without gaps.

    Raises:
        DamagedError: one is missing before it.
    """
    if seq != last_seq + 1:
        raise DamagedError(f"the journal has no event {last_seq + 1}, but an event {seq}")


def moment(text: str | None) -> datetime | None:
    """A timestamp that `encode` wrote."""
    return None if text is None else datetime.fromisoformat(text)
