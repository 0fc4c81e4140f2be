"""When a schedule is due: cron in a time zone or an interval, without the days that are taken out. Pure.

Clock changes are treated as Debian's cron does. A fixed time that the clock skips is due when the gap ends; one that
comes twice is due the first time only. An expression whose minute or hour begins with `*` follows real time instead: it
skips nothing that exists, and repeats what exists twice. cronsim reads the expressions and knows which days they mean;
the times of a day are found here, as it takes each change of the clocks for a whole hour (Lord Howe has a half).
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import field
from datetime import UTC, date, datetime, time, timedelta
from functools import lru_cache
from typing import Any
from zoneinfo import ZoneInfo

from cronsim import CronSim, CronSimError

from signoff.core.values import value

FIELDS = 5  # of a cron expression
DAYS_AHEAD = 50 * 366  # looked at before a schedule counts as never due again

_DAY = timedelta(days=1)
_MINUTE = timedelta(minutes=1)


@value
class Timetable:
    """Nominal times, in UTC, to the second.

    Attributes:
        cron: five fields; none where there is an interval.
        every_s: multiples of it since 1970, so a deploy moves nothing.
        time_zone: an IANA name; where cron and dates are meant.
        excluded: local dates on which nothing is due.
    """

    cron: str | None = None
    every_s: int | None = None
    time_zone: str = "UTC"
    excluded: frozenset[date] = field(default_factory=frozenset[date])

    def after(self, moment: datetime) -> datetime | None:
        """The first nominal time after a moment; none where there is none in the next 50 years."""
        return next(self.upward(moment), None)

    def until(self, moment: datetime) -> Iterator[datetime]:
        """The nominal times at and before a moment, the latest first."""
        return (found for found in self.downward(moment + timedelta(seconds=1)) if found <= moment)

    def between(self, first: datetime, last: datetime) -> Iterator[datetime]:
        """The nominal times from the first moment to the last, both included, in order."""
        for found in self.upward(first - timedelta(seconds=1)):
            if found > last:
                return
            if found >= first:
                yield found

    def as_dict(self) -> dict[str, Any]:
        """The timetable for JSON."""
        return {
            "cron": self.cron,
            "every_s": self.every_s,
            "time_zone": self.time_zone,
            "excluded": sorted(day.isoformat() for day in self.excluded),
        }

    @staticmethod
    def from_dict(data: Mapping[str, Any]) -> Timetable:
        """The timetable that `as_dict` wrote."""
        excluded = frozenset(date.fromisoformat(day) for day in data["excluded"])
        return Timetable(data["cron"], data["every_s"], data["time_zone"], excluded)

    def upward(self, moment: datetime) -> Iterator[datetime]:
        """The nominal times after a moment, in order."""
        return (found for times in self._days(moment, 1) for found in times if found > moment)

    def downward(self, moment: datetime) -> Iterator[datetime]:
        """The nominal times before a moment, the latest first."""
        return (found for times in self._days(moment, -1) for found in reversed(times) if found < moment)

    def _days(self, moment: datetime, step: int) -> Iterator[Sequence[datetime]]:
        """The times of each local day from that of the moment on, upwards or downwards."""
        zone = ZoneInfo(self.time_zone)
        day = moment.astimezone(zone).date()
        for _ in range(DAYS_AHEAD):
            if day not in self.excluded:
                yield self._of_day(day, zone)
            day += step * _DAY

    def _of_day(self, day: date, zone: ZoneInfo) -> Sequence[datetime]:
        if self.cron is None:
            return self._multiples(_begin(day, zone), _begin(day + _DAY, zone))
        cron = _parsed(self.cron)
        if day.month not in cron.months or not cron.match_day(day):
            return ()
        return _times_of_day(self.cron, self.time_zone, day)

    def _multiples(self, begin: datetime, end: datetime) -> list[datetime]:
        assert self.every_s is not None
        first = -(-int(begin.timestamp()) // self.every_s) * self.every_s
        return [datetime.fromtimestamp(second, UTC) for second in range(first, int(end.timestamp()), self.every_s)]


def cron_problem(expression: str) -> str | None:
    """What is wrong with a cron expression, or none."""
    if len(expression.split()) != FIELDS:
        return "a cron expression has five fields: minute, hour, day of month, month, day of week"
    try:
        _parsed(expression)
    except CronSimError as error:
        return str(error)
    return None


@lru_cache(maxsize=1024)
def _parsed(expression: str) -> CronSim:
    return CronSim(expression, datetime(2000, 1, 1, tzinfo=UTC))


@lru_cache(maxsize=256)
def _times_of_day(expression: str, time_zone: str, day: date) -> tuple[datetime, ...]:
    cron, zone = _parsed(expression), ZoneInfo(time_zone)
    begin = _begin(day, zone)
    if _begin(day + _DAY, zone) - begin == _DAY:
        minutes = sorted(hour * 60 + minute for hour in cron.hours for minute in cron.minutes)
        return tuple(begin + minute * _MINUTE for minute in minutes)
    follows_real_time = cron.parts[1].startswith("*") or cron.parts[2].startswith("*")
    found: set[datetime] = set()
    for hour in cron.hours:
        for minute in cron.minutes:
            local = datetime.combine(day, time(hour, minute))
            found.update(_repeats(local, zone) if follows_real_time else (_first(local, zone),))
    return tuple(sorted(found))


def _begin(day: date, zone: ZoneInfo) -> datetime:
    return _first(datetime.combine(day, time()), zone)


def _repeats(local: datetime, zone: ZoneInfo) -> Iterator[datetime]:
    """Each moment at which the clock on the wall shows that time: none in a gap, two where it was put back."""
    for fold in (0, 1):
        moment = local.replace(tzinfo=zone, fold=fold).astimezone(UTC)
        if moment.astimezone(zone).replace(tzinfo=None) == local:
            yield moment


def _first(local: datetime, zone: ZoneInfo) -> datetime:
    """The first such moment; of a time that the clock skips, the end of the gap."""
    while (moment := next(_repeats(local, zone), None)) is None:
        local += _MINUTE
    return moment
