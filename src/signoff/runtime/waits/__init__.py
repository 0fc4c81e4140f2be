"""Events from outside, and the steps that wait for them: whichever comes first, the other finds it."""

from signoff.runtime.waits.model import EventLimits, IncomingEvent, Posted, TakenEvent, WaitKey
from signoff.runtime.waits.opening import close_wait, open_wait, withdraw_wait
from signoff.runtime.waits.posting import EVENT, post_event

__all__ = [
    "EVENT",
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
