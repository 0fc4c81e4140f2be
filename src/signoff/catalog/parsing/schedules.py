"""`schedules/*.yaml`: when which workflow is started by itself."""

from __future__ import annotations

import re
from collections.abc import Mapping
from datetime import date
from typing import Any, cast
from zoneinfo import ZoneInfo, available_timezones

from signoff.catalog.parsing.fields import Fields
from signoff.catalog.parsing.queues import parse_date
from signoff.core.durations import parse_duration_s
from signoff.core.errors import did_you_mean
from signoff.runtime.starting.schedules import CATCH_UPS, OVERLAPS, CatchUp, Overlap, Schedule
from signoff.runtime.starting.timetable import Timetable, cron_problem

SHORTEST_INTERVAL_S = 10
LONGEST_INTERVAL_S = 366 * 86_400
LONGEST_JITTER_S = 86_400.0
MOST_CAUGHT_UP = 1000
"""The most times of a downtime that are run."""

_NAME = re.compile(r"^[a-z][a-z0-9-]{0,62}\Z")


def parse_schedule(fields: Fields, calendars: Mapping[str, frozenset[date]]) -> Schedule:
    """One schedule; what is wrong with it is reported."""
    fields.only(
        *("schedule", "about", "workflow", "input", "cron", "every", "time_zone", "skip_on", "as", "overlap"),
        *("catch_up", "catch_up_max", "jitter", "paused", "priority", "team", "queue", "queue_key"),
    )
    name = fields.text("schedule")
    if name and not _NAME.match(name):
        suggestion = "Use lower-case letters, digits and '-', such as nightly-report."
        fields.problem("schedule", f"'{name}' is not a schedule's name.", suggestion=suggestion)
    return Schedule(
        name=name,
        about=fields.text("about", ""),
        workflow=fields.text("workflow"),
        input=dict(fields.mapping("input").data),
        timetable=_timetable(fields, calendars),
        roles=fields.texts("as"),
        overlap=cast("Overlap", fields.one_of("overlap", OVERLAPS, "skip")),
        catch_up=cast("CatchUp", fields.one_of("catch_up", CATCH_UPS, "last")),
        catch_up_max=fields.integer("catch_up_max", 100, lowest=1, highest=MOST_CAUGHT_UP),
        jitter_s=_duration_s(fields, "jitter", LONGEST_JITTER_S) or 0.0,
        paused=fields.boolean("paused", default=False),
        priority=fields.integer("priority", 5, lowest=1, highest=9),
        team=fields.text("team", ""),
        queue=fields.text("queue", "") or None,
        queue_key=fields.text("queue_key", "") or None,
    )


def _timetable(fields: Fields, calendars: Mapping[str, frozenset[date]]) -> Timetable:
    time_zone = fields.text("time_zone", "UTC")
    if time_zone not in available_timezones():
        suggestion = did_you_mean(time_zone, sorted(available_timezones())) or "Write an IANA name: Europe/Berlin."
        fields.problem("time_zone", f"'{time_zone}' is no time zone.", suggestion=suggestion, code="unknown-value")
        time_zone = "UTC"
    excluded = _excluded(fields, calendars)
    cron, every_s = fields.text("cron", ""), _duration_s(fields, "every", LONGEST_INTERVAL_S)
    if bool(cron) == ("every" in fields.data):
        detail = "A schedule has either 'cron' or 'every'."
        fields.problem("schedule", detail, suggestion='Add one: cron: "30 2 * * *", or every: 15m.', code="missing-key")
    problem = cron_problem(cron) if cron else None
    if problem is not None:
        suggestion = 'Write five fields in quotes, such as "30 2 * * 1-5".'
        fields.problem("cron", f"'{cron}' is no cron expression: {problem}.", suggestion=suggestion, code="pattern")
    if every_s is not None and (every_s < SHORTEST_INTERVAL_S or every_s != int(every_s)):
        detail = f"'every' is at least {SHORTEST_INTERVAL_S}s, in whole seconds."
        fields.problem("every", detail, code="duration")
        every_s = None
    if cron and problem is None:
        return Timetable(cron=cron, time_zone=str(ZoneInfo(time_zone)), excluded=excluded)
    return Timetable(every_s=int(every_s or LONGEST_INTERVAL_S), time_zone=time_zone, excluded=excluded)


def _excluded(fields: Fields, calendars: Mapping[str, frozenset[date]]) -> frozenset[date]:
    found: set[date] = set()
    for text in fields.texts("skip_on"):
        if text[:1].isdigit():
            day = parse_date(fields, "skip_on", text)
            found |= set() if day is None else {day}
        elif text in calendars:
            found |= calendars[text]
        else:
            suggestion = did_you_mean(text, tuple(calendars)) or "Declare it under 'calendars:' in signoff.yaml."
            fields.problem("skip_on", f"There is no calendar '{text}'.", suggestion=suggestion, code="unknown-name")
    return frozenset(found)


def _duration_s(fields: Fields, name: str, most_s: float) -> float | None:
    value: Any = fields.data.get(name)
    if value is None:
        return None
    try:
        seconds = parse_duration_s(value) if isinstance(value, str) else 0.0
    except ValueError:
        seconds = 0.0
    if not 0 < seconds <= most_s:
        detail = f"'{name}' must be a duration above zero, at most {most_s / 3600:g}h."
        fields.problem(name, detail, suggestion="Write a number and its unit, such as 15m.", code="duration")
        return None
    return seconds
