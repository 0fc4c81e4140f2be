"""Events, from outside or emitted, and the steps that wait for them: whichever comes first, the other finds it."""

from signoff.runtime.waits.model import Emission, EventLimits, IncomingEvent, Posted, TakenEvent, WaitKey
from signoff.runtime.waits.opening import close_wait, open_wait, withdraw_wait
from signoff.runtime.waits.posting import EVENT, OWN_SOURCES, post_event

__all__ = [
    "EVENT",
    "OWN_SOURCES",
    "Emission",
    "EventLimits",
    "IncomingEvent",
    "Posted",
    "TakenEvent",
    "WaitKey",
    "close_wait",
    "open_wait",
    "post_event",
    "withdraw_wait",
]
