"""Cron and intervals against a naive reference, over every change of the clocks."""

from __future__ import annotations

from datetime import UTC, date, datetime, timedelta
from itertools import islice, pairwise
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from signoff.runtime.starting.schedules import Schedule, due_times
from signoff.runtime.starting.timetable import Timetable, cron_problem

BERLIN = ZoneInfo("Europe/Berlin")
MINUTE = timedelta(minutes=1)

# Clock changes in all sorts: an hour, half an hour, at midnight, south of the equator, and none.
CHANGES = [
    ("Europe/Berlin", date(2026, 3, 29)),
    ("Europe/Berlin", date(2026, 10, 25)),
    ("America/New_York", date(2026, 3, 8)),
    ("America/New_York", date(2026, 11, 1)),
    ("Australia/Lord_Howe", date(2026, 4, 5)),
    ("Australia/Lord_Howe", date(2026, 10, 4)),
    ("America/Santiago", date(2026, 9, 6)),
    ("America/Santiago", date(2026, 4, 5)),
    ("Asia/Kolkata", date(2026, 6, 1)),
]


def field_values(text: str, lowest: int, highest: int) -> set[int]:
    if text == "*":
        return set(range(lowest, highest + 1))
    if text.startswith("*/"):
        return set(range(lowest, highest + 1, int(text[2:])))
    return {int(part) for part in text.split(",")}


def reference(minute: str, hour: str, zone: ZoneInfo, first: datetime, last: datetime) -> list[datetime]:
    """Minute by minute: of local times for fixed ones, of real time for those with a star."""
    minutes, hours = field_values(minute, 0, 59), field_values(hour, 0, 23)
    found: set[datetime] = set()
    if minute.startswith("*") or hour.startswith("*"):
        moment = first
        while moment <= last:
            local = moment.astimezone(zone)
            if local.minute in minutes and local.hour in hours:
                found.add(moment)
            moment += MINUTE
        return sorted(found)
    local = first.astimezone(zone).replace(tzinfo=None) - timedelta(hours=6)
    while local <= last.astimezone(zone).replace(tzinfo=None) + timedelta(hours=6):
        if local.minute in minutes and local.hour in hours:
            found.add(first_real(local, zone))
        local += MINUTE
    return sorted(moment for moment in found if first <= moment <= last)


def first_real(local: datetime, zone: ZoneInfo) -> datetime:
    """The first time that a clock on the wall shows it, or where it never does, the end of the gap."""
    while True:
        moment = local.replace(tzinfo=zone, fold=0).astimezone(UTC)
        if moment.astimezone(zone).replace(tzinfo=None) == local:
            return moment
        local += MINUTE


MINUTES = st.one_of(
    st.sampled_from(["*", "*/5", "*/15", "0,30"]),
    st.lists(st.integers(0, 59), min_size=1, max_size=3, unique=True).map(lambda v: ",".join(map(str, v))),
)
HOURS = st.one_of(
    st.sampled_from(["*", "*/2", "*/6"]),
    st.lists(st.integers(0, 4), min_size=1, max_size=3, unique=True).map(lambda v: ",".join(map(str, v))),
)


@settings(max_examples=60, deadline=None)
@given(change=st.sampled_from(CHANGES), minute=MINUTES, hour=HOURS, offset=st.integers(0, 24 * 60))
def test_cron_agrees_with_the_reference_over_clock_changes(
    change: tuple[str, date], minute: str, hour: str, offset: int
):
    name, day = change
    zone = ZoneInfo(name)
    first = datetime(day.year, day.month, day.day, tzinfo=UTC) - timedelta(hours=14) + offset * MINUTE
    last = first + timedelta(hours=30)
    expected = reference(minute, hour, zone, first, last)
    table = Timetable(cron=f"{minute} {hour} * * *", time_zone=name)
    assert list(table.between(first, last)) == expected
    downward = list(islice(table.until(last), len(expected)))
    assert downward[::-1] == expected
    if expected:
        assert table.after(first - timedelta(seconds=1)) == expected[0]


@settings(max_examples=100, deadline=None)
@given(every_s=st.integers(10, 200_000), days=st.integers(0, 4000), seconds=st.integers(0, 86_399))
def test_an_interval_is_aligned_and_even(every_s: int, days: int, seconds: int):
    table, first = Timetable(every_s=every_s), datetime(2020, 1, 1, tzinfo=UTC) + timedelta(days, seconds)
    found = list(islice(table.between(first, first + timedelta(seconds=every_s * 4)), 4))
    assert all(moment.timestamp() % every_s == 0 for moment in found)
    assert {int((b - a).total_seconds()) for a, b in pairwise(found)} <= {every_s}
    assert first <= found[0] < first + timedelta(seconds=every_s)
    assert next(table.until(found[2])) == found[2]


def at(text: str) -> datetime:
    return datetime.fromisoformat(text).replace(tzinfo=BERLIN).astimezone(UTC)


def test_a_time_that_the_clock_skips_is_due_when_the_gap_ends():
    table = Timetable(cron="30 2 * * *", time_zone="Europe/Berlin")
    assert table.after(at("2026-03-28T12:00")) == at("2026-03-29T03:00")


def test_a_time_that_comes_twice_is_due_once():
    table = Timetable(cron="30 2 * * *", time_zone="Europe/Berlin")
    first = datetime(2026, 10, 25, 0, 30, tzinfo=UTC)
    assert list(table.between(at("2026-10-25T00:00"), at("2026-10-25T23:00"))) == [first]


def test_every_quarter_of_an_hour_follows_real_time():
    table = Timetable(cron="*/15 * * * *", time_zone="Europe/Berlin")
    assert len(list(table.between(at("2026-03-29T00:00"), at("2026-03-29T23:59")))) == 23 * 4
    assert len(list(table.between(at("2026-10-25T00:00"), at("2026-10-25T23:59")))) == 25 * 4


def test_days_that_are_taken_out_are_local_ones():
    table = Timetable(cron="30 0 * * *", time_zone="Asia/Tokyo", excluded=frozenset({date(2026, 1, 2)}))
    found = table.between(datetime(2025, 12, 31, tzinfo=UTC), datetime(2026, 1, 3, tzinfo=UTC))
    days = [moment.astimezone(ZoneInfo("Asia/Tokyo")).date().day for moment in found]
    assert days == [1, 3]


def test_many_days_taken_out_are_passed_over():
    days = frozenset(date(2026, 1, 1) + timedelta(days=n) for n in range(2000))
    table = Timetable(cron="0 0 1 1 *", excluded=days)
    assert table.after(datetime(2026, 1, 1, tzinfo=UTC)) == datetime(2032, 1, 1, tzinfo=UTC)


@pytest.mark.parametrize("wrong", ["", "* * * *", "* * * * * *", "60 * * * *", "0 0 30 2 *", "a b c d e"])
def test_what_is_no_cron_expression_is_told(wrong: str):
    assert cron_problem(wrong) is not None


NOW = datetime(2026, 3, 2, 12, 0, 30, tzinfo=UTC)
DOWN_SINCE = datetime(2026, 3, 2, 7, 0, tzinfo=UTC)


@pytest.mark.parametrize(
    ("catch_up", "most", "hours", "missed"),
    [
        ("none", 100, [12], 11),
        ("last", 100, [12], 11),
        ("all", 100, [7, 8, 9, 10, 11, 12], None),
        ("all", 2, [11, 12], 10),
    ],
)
def test_what_is_run_after_a_downtime(catch_up: str, most: int, hours: list[int], missed: int | None):
    schedule = Schedule.from_dict(
        Schedule("s", "w", Timetable(cron="0 * * * *")).as_dict() | {"catch_up": catch_up, "catch_up_max": most}
    )
    due = due_times(schedule, DOWN_SINCE, NOW)
    assert [moment.hour for moment in due.fire] == hours
    assert (due.missed and due.missed.hour) == missed
    assert due.next_at == datetime(2026, 3, 2, 13, 0, tzinfo=UTC)


@pytest.mark.parametrize(("catch_up", "hours"), [("none", []), ("last", [12]), ("all", [7, 8, 9, 10, 11, 12])])
def test_what_is_late_by_more_than_a_minute_was_missed(catch_up: str, hours: list[int]):
    schedule = Schedule.from_dict(Schedule("s", "w", Timetable(cron="0 * * * *")).as_dict() | {"catch_up": catch_up})
    due = due_times(schedule, DOWN_SINCE, NOW + timedelta(minutes=5))
    assert [moment.hour for moment in due.fire] == hours
