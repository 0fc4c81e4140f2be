"""What a worker does beside executing runs: none of it may cost the runs that the worker holds."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Awaitable, Callable

from signoff.core.errors import UnavailableError

PAUSE_S = 1.0
"""Before a duty is taken up again that an error of ours ended: as long as a poll, so that what it does is late only."""

Duty = Callable[[Callable[[int], None]], Awaitable[None]]
"""Something else that a worker does until it is cancelled. It tells how many runs it has started."""

_log = logging.getLogger(__name__)


async def kept(duty: Callable[[], Awaitable[None]], *, pause_s: float = PAUSE_S) -> None:
    """Do a duty for ever. An error of ours is told and the duty taken up again.

    Raises:
        UnavailableError: the database went away: the session ends.
    """
    while True:
        try:
            await duty()
        except UnavailableError:
            raise
        except Exception:  # noqa: BLE001  (whatever it is, the runs that the worker holds go on)
            _log.exception("something that this worker does beside its runs broke; it is taken up again")
        await asyncio.sleep(pause_s)
