"""What all runs of one worker session share."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any
from uuid import UUID

from signoff.core.clock import Clock
from signoff.foundation.database import Database
from signoff.runtime.breakers import Breakers
from signoff.runtime.handlers import Message, PureHandler, StepHandler
from signoff.runtime.journal import Journal
from signoff.runtime.settings import RuntimeSettings
from signoff.runtime.slots import Slots


@dataclass(slots=True)
class Engine:
    """The worker's services, as one run sees them.

    Attributes:
        handlers: by verb, those that act.
        pure: by verb, those that only compute.
        slots: bounds how many steps of all runs execute at once.
        lease_holds: whether our session is certain to be alive now; asked before every send (decision 0002, rule 3).
        gone: takes a run out of memory; it is parked, finished or somebody else's.
        read_inbox: the messages that wait for a run, and the generation they were read at.
        report: sends what a fenced worker saw of an effect to the run's inbox.
        wake: tells workers that a run has something to do, after that was committed.
        failed: takes a run out of memory after an error of ours; it is loaded again later.
        draining: whether the worker is stopping, so that nothing new may begin.
        chance: a random number from 0 to 1, for delays that are not to be the same for all.
        breakers: stand before the calls of tools and models.
        suspect_before: runs from before then may lack their latest events: the database failed over, or was restored.
    """

    database: Database
    journal: Journal
    handlers: Mapping[str, StepHandler]
    pure: Mapping[str, PureHandler]
    clock: Clock
    settings: RuntimeSettings
    slots: Slots
    lease_holds: Callable[[], bool]
    gone: Callable[[UUID, bool], None]
    read_inbox: Callable[[UUID], Awaitable[tuple[list[tuple[str, Message]], int]]]
    report: Callable[[UUID, UUID, str, Mapping[str, Any]], None]
    wake: Callable[[UUID], None]
    failed: Callable[[UUID, BaseException], None]
    draining: Callable[[], bool]
    chance: Callable[[], float]
    breakers: Breakers
    suspect_before: datetime | None = None
