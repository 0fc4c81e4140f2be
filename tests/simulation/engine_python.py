"""A schedule's workflow written in Python: the same steps, level by level."""

from __future__ import annotations

from typing import Any

from tests.simulation.engine_schedule import CHILD, EVENT, EngineSchedule
from tests.simulation.schedule import PlannedStep
from tests.support.python_workflows import python_workflow

from signoff.workflows.model import Workflow
from signoff.workflows.python import Context, RunOutcome

RETRY = {"times": 2, "delay": "100ms", "backoff": 1}
EFFECTS = ("lookup", "resend", "ask")


def written_in_python(schedule: EngineSchedule, name: str) -> Workflow:
    """The schedule's workflow as an `async def`."""

    async def simulated(ctx: Context, value: dict[str, Any]) -> RunOutcome:
        for level in _levels(schedule.steps):
            found = await ctx.gather(*(_do(ctx, value, index, schedule.steps[index]) for index in level), errors=True)
            for index, result in zip(level, found, strict=True):
                if isinstance(result, BaseException) and not schedule.steps[index].caught:
                    raise result
        return ctx.outcome("ok", {"id": str(ctx.uuid()), "chance": ctx.random()})

    return python_workflow(name, simulated)


def _levels(steps: tuple[PlannedStep, ...]) -> list[list[int]]:
    depth: dict[int, int] = {}
    for index, step in enumerate(steps):
        depth[index] = max((depth[other] + 1 for other in step.follows), default=0)
    return [[index for index in depth if depth[index] == level] for level in range(max(depth.values()) + 1)]


async def _do(  # noqa: PLR0911  (one form per kind)
    ctx: Context, value: dict[str, Any], index: int, step: PlannedStep
) -> Any:
    name, with_ = f"s{index}", {"n": index}
    undo = ("undo", _nothing) if step.effect in ("lookup", "resend") else None
    match step.kind, step.inner:
        case "set", _:
            return {"n": index}
        case (("read" | "wait"), _):
            return await ctx.tool(step.kind, with_, name=name, retry=RETRY)
        case "flaky", _:
            return await ctx.tool("flaky", with_, name=name, retry={"times": 6, "delay": "500ms", "backoff": 1.5})
        case "for", inner:
            return await ctx.gather(
                *(ctx.tool(inner, with_, name=f"{name}_{turn}", retry=RETRY, undo=undo) for turn in range(3)),
                at_once=2,
            )
        case "pause", duration:
            return await ctx.wait(duration, name=name)
        case "event", form:
            more: dict[str, Any] = {} if form == "open" else {"timeout": "2s"}
            if form == "timeout":
                more["on_timeout"] = "continue"
            return await ctx.event(EVENT, match={"n": value["n"], "step": str(index)}, name=name, **more)
        case "call", form:
            more = {"leave": {"on_cancel": "leave"}, "detach": {"detach": True}, "timeout": {"timeout": "1500ms"}}
            return await ctx.call(CHILD, with_, name=name, **more.get(form, {}))
        case _:
            requires: list[Any] = []
            if step.reviewed:
                requires = [await ctx.review("Do it?", by="role/lead", propose=with_, name=f"{name}_ok")]
            return await ctx.tool(step.kind, with_, name=name, retry=RETRY, undo=undo, requires=requires)


def _nothing(_: Any) -> dict[str, Any]:
    """What the undo is given."""
    return {}
