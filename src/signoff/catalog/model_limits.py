"""Limits of what models may be asked: `limits:` of `models.yaml`. How much, in which time, on whose account."""

from __future__ import annotations

from typing import Literal

import orjson

from signoff.core.ids import digest
from signoff.core.values import value

Of = Literal["project", "team", "workflow", "key", "model"]
Unit = Literal["requests", "tokens", "micro_usd"]
AtLimit = Literal["refuse", "cheaper", "ask", "park"]
Calendar = Literal["minute", "hour", "day", "month"]

OF = ("project", "team", "workflow", "key", "model")
CALENDAR = ("minute", "hour", "day", "month")
AT_LIMIT = ("refuse", "cheaper", "ask", "park")
SLOTS = 10
"""Into how many parts a sliding window is cut: room comes back in steps of one part."""


@value
class Window:
    """The time over which a limit counts.

    A sliding window (`10m`) holds at every moment: what any stretch of that length may use. It is counted in tenths:
    the part under way counts beside the ten before it, so at most a tenth too much is counted, never too little. A
    calendar window (`month`) begins anew at 00:00 UTC, as vendors' invoices do.

    Attributes:
        length_s: of a sliding window, in whole milliseconds over 1000; 0 of a calendar one.
        calendar: the unit of a calendar window; none of a sliding one.
    """

    length_s: float = 0.0
    calendar: Calendar | None = None

    @property
    def name(self) -> str:
        """Of its length, whatever the unit that it was written in: `60s`, `month`. Counts are found by it."""
        return self.calendar or f"{self.length_s:g}s"

    @property
    def told(self) -> str:
        """As people write it, in the largest unit that is whole: `31d`, `90s`, `month`."""
        units = ((86_400, "d"), (3_600, "h"), (60, "m"))
        fitting = (f"{self.length_s // seconds:g}{unit}" for seconds, unit in units if not self.length_s % seconds)
        return self.calendar or next(fitting, f"{self.length_s:g}s")

    @property
    def slots(self) -> int:
        """How many parts are kept: those of a whole window and the one under way."""
        return 1 if self.calendar else SLOTS + 1

    @property
    def slot_s(self) -> float:
        """How long one part is, in seconds; 0 of a calendar window, whose months differ."""
        return self.length_s / SLOTS


@value
class ModelLimit:
    """One limit.

    Attributes:
        of: what is counted together: all calls of the project, of one team, of one workflow, of one API key, or to one
            model.
        unit: requests, tokens (read and written), or money in millionths of a US dollar.
        most: how much of it within the window.
        every: the window.
        at_limit: what happens where there is no room.
        name: the only team, workflow, key or model that it is for; empty where each has its own. A key is named by its
            name, which all keys made under it share, or by its id.
    """

    of: Of
    unit: Unit
    most: int
    every: Window
    at_limit: AtLimit = "refuse"
    name: str = ""

    @property
    def kind(self) -> Literal["quota", "budget"]:
        """Money is a budget; the rest are quotas."""
        return "budget" if self.unit == "micro_usd" else "quota"

    def told(self, holder: str) -> str:
        """The limit in words: `600 requests every 1m of team/support`."""
        usd = f"{self.most / 1_000_000:.6f}".rstrip("0").rstrip(".")
        what = self.unit.removesuffix("s") if self.most == 1 else self.unit
        whole = f"{usd} USD" if self.unit == "micro_usd" else f"{self.most} {what}"
        return f"{whole} every {self.every.told}" + (f" of {self.of}/{holder}" if holder else "")

    def counter(self, project: str, environment: str, holder: str) -> str:
        """What names the count over all releases: a release with another amount goes on with the same count."""
        parts = (project, environment, self.of, holder, self.unit, self.every.name)
        return digest(orjson.dumps(parts))[:32]
