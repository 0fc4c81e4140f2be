"""How runs come to be started and in which order they get their turn: queues, debounced starts, schedules."""

from signoff.runtime.starting.admission import admit_due
from signoff.runtime.starting.applying import apply_queues, apply_schedules
from signoff.runtime.starting.debounce import start_debounced
from signoff.runtime.starting.firing import Fired, Starter, Turn, fire_due
from signoff.runtime.starting.schedules import Schedule, SchedulePlace
from signoff.runtime.starting.timetable import Timetable, cron_problem
from signoff.runtime.starting.turns import Turns

__all__ = [
    "Fired",
    "Schedule",
    "SchedulePlace",
    "Starter",
    "Timetable",
    "Turn",
    "Turns",
    "admit_due",
    "apply_queues",
    "apply_schedules",
    "cron_problem",
    "fire_due",
    "start_debounced",
]
