"""What is printed of a schedule that fails: enough to see it again."""

from __future__ import annotations

from tests.simulation.schedule import Schedule


def told(found: Schedule, smallest: Schedule, error: Exception, *, options: str = "") -> str:
    """The failure, the shrunk schedule, and how to run each of both again."""
    happenings = "\n".join(
        f"  {one.at_s:g} s: {one.action} {one.subject} ({one.lasts_s:g} s)" for one in smallest.happenings
    )
    results = "\n".join(f"  s{index}: {', '.join(step.results)}" for index, step in enumerate(smallest.steps))
    return "\n".join(
        [
            f"{type(error).__name__}: {error}",
            "",
            f"the schedule, shrunk; {smallest.runs} runs on {smallest.workers} workers:",
            smallest.document(),
            f"how the tries end:\n{results}",
            f"what happens:\n{happenings or '  nothing'}",
            "",
            f"again, as it was found: python -m tests.simulation{options} --seed {found.seed}",
            f"again, shrunk: save this and give it to --schedule:\n{smallest.as_json()}",
        ]
    )
