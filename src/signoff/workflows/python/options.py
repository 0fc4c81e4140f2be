"""The keys that steps share, as Python values: what YAML writes as `retry: {times: 4, delay: 2s}` is a dict here."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Mapping, Sequence
from datetime import datetime, timedelta
from typing import Any, cast

from signoff.core.durations import parse_duration_s
from signoff.core.errors import did_you_mean
from signoff.workflows.failures import MAX_BACKOFF, MAX_RETRIES
from signoff.workflows.header import MAX_DURATION_S
from signoff.workflows.model import Retry, Step
from signoff.workflows.python.commands import Undo

Duration = str | float | timedelta
"""`30s`, `4h`, `2d`; a number of seconds; or a timedelta."""

UndoArguments = Callable[[Any], Mapping[str, Any]]
UndoOption = tuple[str, UndoArguments] | tuple[str, UndoArguments, Mapping[str, Any]]
"""The tool that takes a step back, its arguments from the step's output, and `{retry, timeout}`."""

RETRY_KEYS = ("times", "delay", "backoff", "max_delay", "jitter", "on", "never")
UNDO_KEYS = ("retry", "timeout")

_NAME = re.compile(r"[a-z][a-z0-9_]{0,63}")
_RESERVED = frozenset({"undo", "index", "last", "item", "input", "result"})
_ATTRIBUTES: Mapping[type, str] = {str: "text", bool: "boolean", int: "integer", float: "number"}
_ROLE = re.compile(r"role/[a-z0-9][a-z0-9_-]{0,62}")


def seconds_of(value: Duration, key: str) -> float:
    """A duration in seconds.

    Raises:
        ValueError: it is none, or not between nothing and ten years.
    """
    if isinstance(value, timedelta):
        seconds = value.total_seconds()
    elif isinstance(value, str):
        seconds = parse_duration_s(value)
    else:
        try:
            seconds = float(value)
        except TypeError as error:
            raise ValueError(f"{key} is a duration such as '30s', not {value!r}") from error
    if not 0 < seconds <= MAX_DURATION_S:
        raise ValueError(f"{key} is longer than nothing and at most ten years, not {value!r}")
    return seconds


def retry_of(given: Mapping[str, Any] | None) -> Retry:
    """How a step is tried again.

    Raises:
        ValueError: a key or a value is wrong; says which, and what it may be.
    """
    if given is None:
        return Retry()
    require_known("retry", given, RETRY_KEYS)
    if "times" not in given:
        raise ValueError("retry needs 'times': how often is it tried again?")
    return Retry(
        times=int(_number(given, "times", 0, 0, MAX_RETRIES, whole=True)),
        delay_s=seconds_of(given["delay"], "retry's delay") if "delay" in given else Retry().delay_s,
        backoff=_number(given, "backoff", Retry().backoff, 1, MAX_BACKOFF),
        max_delay_s=seconds_of(given["max_delay"], "retry's max_delay")
        if "max_delay" in given
        else Retry().max_delay_s,
        jitter=_number(given, "jitter", Retry().jitter, 0, 1),
        on=frozenset(_texts("retry's on", given.get("on", ()))),
        never=frozenset(_texts("retry's never", given.get("never", ()))),
    )


def undo_of(given: tuple[Any, ...] | None, step: str) -> Step | None:
    """The compensation of a step, from `(tool, arguments)` or `(tool, arguments, {retry, timeout})`.

    `arguments` is a function from the step's output to a dict: it is called when the run unwinds, so it reads nothing
    that may change.

    Raises:
        ValueError: it has another form.
    """
    if given is None:
        return None
    tool, function, *more = given if 2 <= len(given) <= 3 else (None, None)  # noqa: PLR2004  (the two forms)
    if tool is None or not callable(function):
        detail = "undo is (tool, function from the step's output to the tool's arguments), and options after it"
        raise ValueError(detail)
    options: Mapping[str, Any] = more[0] if more else {}
    require_known("undo", options, UNDO_KEYS)
    timeout = options.get("timeout")
    return Step(
        name=f"{step}/undo",
        verb="tool",
        target=str(tool),
        arguments={"with": Undo(function, f"undo by {tool}")},
        retry=retry_of(options.get("retry")),
        timeout_s=None if timeout is None else seconds_of(timeout, "undo's timeout"),
    )


def count_of(key: str, value: int, most: int) -> int:
    """A bound.

    Raises:
        ValueError: it is no whole number from 1 to `most`.
    """
    if not isinstance(value, int) or isinstance(value, bool) or not 1 <= value <= most:  # pyright: ignore[reportUnnecessaryIsInstance]  (authors' code is not checked)
        raise ValueError(f"{key} is a whole number from 1 to {most}, not {value!r}")
    return value


def name_of(name: str | None) -> str | None:
    """A step's own name.

    Raises:
        ValueError: no step can have it.
    """
    if name is not None and (not _NAME.fullmatch(name) or name in _RESERVED):
        raise ValueError(
            f"{name!r} is no step's name: write lower-case letters, digits and '_', beginning with a letter"
        )
    return name


def attribute_of(name: str, value: Any) -> dict[str, Any]:
    """A search attribute as events have it.

    Raises:
        ValueError: it has no name or value that can be searched.
    """
    if not _NAME.fullmatch(name):
        raise ValueError(f"{name!r} is no attribute's name: write lower-case letters, digits and '_'")
    if isinstance(value, datetime):
        if value.tzinfo is None:
            raise ValueError(f"attribute '{name}': a moment has a time zone")
        return {"type": "timestamp", "value": value.isoformat()}
    kind = _ATTRIBUTES.get(value.__class__)
    if kind is None:
        raise ValueError(f"attribute '{name}' is a text, a number, true or false, or a datetime, not {value!r}")
    return {"type": kind, "value": value}


def role_of(by: str, key: str) -> str:
    """Who decides a review.

    Raises:
        ValueError: it is no role.
    """
    if not _ROLE.fullmatch(by):
        raise ValueError(f"{key} is a role such as 'role/support-lead', not {by!r}")
    return by


def escalate_of(given: Mapping[str, Any] | None, expire_s: float | None) -> dict[str, Any]:
    """When a review is shown to others too.

    Raises:
        ValueError: a key is wrong or missing, or it would expire before.
    """
    if given is None:
        return {}
    require_known("escalate", given, ("open_for", "also"))
    if "open_for" not in given or "also" not in given:
        raise ValueError("escalate needs 'open_for' and 'also'")
    open_for_s = seconds_of(given["open_for"], "escalate's open_for")
    if expire_s is not None and open_for_s >= expire_s:
        raise ValueError("a review that expires before it would be escalated: make 'open_for' shorter than 'expire'")
    return {"open_for": open_for_s, "also": role_of(str(given["also"]), "escalate's also")}


def require_known(what: str, given: Mapping[str, Any], known: Sequence[str]) -> None:
    """Return where all keys are known.

    Raises:
        ValueError: one is not.
    """
    for key in given:
        if key not in known:
            hint = did_you_mean(key, known) or f"It has {', '.join(known)}."
            raise ValueError(f"{what} has no '{key}'. {hint}")


def _number(
    given: Mapping[str, Any], key: str, default: float, least: float, most: float, *, whole: bool = False
) -> float:
    value = given.get(key, default)
    kinds = (int,) if whole else (int, float)
    if not isinstance(value, kinds) or isinstance(value, bool) or not least <= value <= most:
        raise ValueError(
            f"retry's {key} is a {'whole ' if whole else ''}number from {least:g} to {most:g}, not {value!r}"
        )
    return float(value)


def _texts(what: str, value: Any) -> list[str]:
    items = [value] if isinstance(value, str) else list(cast("Iterable[Any]", value))
    if not all(isinstance(item, str) for item in items):
        raise ValueError(f"{what} is a list of kinds of errors, such as ['timeout', 'http_5xx']")
    return items
