"""What operations leave in a run's state: the part of the fold that is about people steering the run.

`state.py` calls these for the events of operations, and nothing else does.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

from signoff.core.fresh import fresh_dict
from signoff.runtime.events import Event, moment

SKIP = "run.skip"
TAKEN = "taken"
"""Disposition of an operation that was carried out, or is being carried out."""


@dataclass(slots=True)
class Operated:
    """How people have steered a run.

    Attributes:
        paused: the data of `run.paused`; none where nothing holds the run.
        paused_at: when it was paused.
        paused_s: how long it was paused altogether, the present pause excluded; its limits do not count that time.
        reopened_at: when it was last reopened; its time limit counts from there.
        reopened: how often it was reopened.
        skips: steps that are to be skipped and have not ended yet, by path: who asked, and why.
        release: the release that it was moved to last; none where it still has its first.
        moved_seq: where in the journal that is told.
    """

    paused: Mapping[str, Any] | None = None
    paused_at: datetime | None = None
    paused_s: float = 0.0
    reopened_at: datetime | None = None
    reopened: int = 0
    skips: dict[str, Mapping[str, Any]] = field(default_factory=fresh_dict)
    release: Mapping[str, Any] | None = None
    moved_seq: int = 0

    def pause(self, event: Event) -> None:
        """Take `run.paused` in."""
        self.paused, self.paused_at = event.data, event.recorded_at

    def resume(self, recorded_at: datetime) -> None:
        """The pause is over: resumed, or ended by a cancellation or by the run's end."""
        if self.paused_at is not None:
            self.paused_s += max((recorded_at - self.paused_at).total_seconds(), 0.0)
        self.paused = self.paused_at = None

    def reopen(self, event: Event) -> None:
        """Take `run.reopened` in: what was asked of the steps before is void with them."""
        self.reopened_at = moment(event.data.get("clock_from")) or event.recorded_at
        self.reopened += 1
        self.paused_s = 0.0
        self.paused = self.paused_at = None
        self.skips.clear()

    def receive(self, data: Mapping[str, Any]) -> None:
        """Take a message to the run itself in."""
        if data["kind"] == SKIP and data["disposition"] == TAKEN:
            said = data["data"]
            self.skips[said["step"]] = {"by": data["sent_by"], "reason": said.get("reason", "")}
