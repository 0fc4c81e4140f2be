"""How runs come to be started and in which order they get their turn: queues, debounced starts, schedules."""

from signoff.runtime.starting.admission import admit_due
from signoff.runtime.starting.debounce import start_debounced
from signoff.runtime.starting.turns import Turns

__all__ = [
    "Turns",
    "admit_due",
    "start_debounced",
]
