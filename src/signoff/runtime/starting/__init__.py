"""How runs come to be started and in which order they get their turn: queues, debounced starts, schedules."""

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from signoff.runtime.starting.admission import admit_due
    from signoff.runtime.starting.applying import apply_queues, apply_schedules
    from signoff.runtime.starting.debounce import start_debounced
    from signoff.runtime.starting.firing import Fired, Starter, Turn, fire_due
    from signoff.runtime.starting.schedules import Schedule, SchedulePlace
    from signoff.runtime.starting.timetable import Timetable, cron_problem
    from signoff.runtime.starting.turns import Turns
else:
    from signoff.core.lazy import offered

    __getattr__ = offered(
        __name__,
        {
            "Fired": "signoff.runtime.starting.firing",
            "Schedule": "signoff.runtime.starting.schedules",
            "SchedulePlace": "signoff.runtime.starting.schedules",
            "Starter": "signoff.runtime.starting.firing",
            "Timetable": "signoff.runtime.starting.timetable",
            "Turn": "signoff.runtime.starting.firing",
            "Turns": "signoff.runtime.starting.turns",
            "admit_due": "signoff.runtime.starting.admission",
            "apply_queues": "signoff.runtime.starting.applying",
            "apply_schedules": "signoff.runtime.starting.applying",
            "cron_problem": "signoff.runtime.starting.timetable",
            "fire_due": "signoff.runtime.starting.firing",
            "start_debounced": "signoff.runtime.starting.debounce",
        },
    )

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
