"""The driver of workflows in Python: what it asks for follows from the ends of its steps alone, in their order."""

from __future__ import annotations

import asyncio
import random
from collections.abc import Awaitable, Callable, Generator
from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import UUID

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from signoff.core.errors import StepError
from signoff.core.labels import BOTTOM, Labels, Trust
from signoff.workflows.python import Context, Result, RunOutcome, StepFailed, WorkflowFailed
from signoff.workflows.python.driver import Driver
from signoff.workflows.python.errors import ForeignAwaitError
from signoff.workflows.semantics import Ended, Ready, StepState

START = datetime(2026, 3, 1, tzinfo=UTC)
End = tuple[str, bool, int]
"""The end of a step: its path, whether it is done, and a number that it gives."""

leaf = st.tuples(st.just("step"), st.integers(0, 3))
programs = st.recursive(
    leaf,
    lambda inner: st.one_of(
        st.tuples(st.just("sequence"), st.lists(inner, max_size=3)),
        st.tuples(st.just("gather"), st.lists(inner, max_size=3), st.integers(1, 3)),
        st.tuples(st.just("caught"), inner),
        st.tuples(st.just("choice"), inner, inner),
    ),
    max_leaves=12,
)


def workflow_of(program: Any) -> Callable[[Context, dict[str, Any]], Awaitable[RunOutcome]]:
    """A workflow that does what a random program says; chance, time and results decide on its way."""

    async def run(ctx: Context, node: Any, seen: list[int]) -> int:
        match node:
            case ("step", number):
                result = await ctx.tool("t", {"n": number, "seen": seen, "chance": ctx.random(), "at": ctx.now()})
                seen.append(result["n"])
                return result["n"]
            case ("sequence", parts):
                return sum([await run(ctx, part, seen) for part in parts])
            case ("gather", parts, at_once):
                return sum(await ctx.gather(*(run(ctx, part, []) for part in parts), at_once=at_once))
            case ("caught", part):
                try:
                    return await run(ctx, part, seen)
                except StepFailed as failure:
                    return len(failure.path)
            case ("choice", first, second):
                return await run(ctx, first if ctx.random() < 0.5 else second, seen)
            case _:
                raise AssertionError(node)

    async def workflow(ctx: Context, value: dict[str, Any]) -> RunOutcome:
        return ctx.outcome("ok", {"sum": await run(ctx, program, []), "id": ctx.uuid()})

    return workflow


def driver(function: Any, *, recorded: frozenset[str] = frozenset(), labels: Labels = BOTTOM) -> Driver:
    made = Driver(
        function,
        run_id=UUID(int=7),
        input_value={"order": "o-1"},
        started_at=START,
        labels=labels,
        outcomes=frozenset({"ok"}),
        recorded=recorded,
    )
    made.start()
    return made


def deliver(made: Driver, end: End, at: int) -> None:
    path, done, number = end
    state = StepState("done", "done", {"n": number}, readable=True) if done else StepState("failed", "failed")
    error = None if done else {"kind": "broken", "detail": "it broke"}
    made.deliver(path, state, error, at=START + timedelta(seconds=at))


def played(function: Any, chance: random.Random) -> tuple[Driver, list[End], list[list[Any]]]:
    """A run to its end with steps that end in any order: the ends, and what had been asked for before each of them."""
    made, ends, asked = driver(function), list[End](), list[list[Any]]()
    while made.finished is None:
        asked.append(commands(made))
        open_paths = [path for path in made.issued if made.waits_for(path)]
        end = (chance.choice(open_paths), chance.random() < 0.8, chance.randrange(5))
        ends.append(end)
        deliver(made, end, len(ends))
    asked.append(commands(made))
    return made, ends, asked


def commands(made: Driver) -> list[Any]:
    return [(issued.path, issued.step.verb, issued.step.target, issued.arguments) for issued in made.issued.values()]


@settings(max_examples=150, deadline=None)
@given(programs, st.integers(0, 2**32))
def test_every_prefix_of_the_ends_replays_to_the_same_commands(program: Any, seed: int) -> None:
    function = workflow_of(program)
    live, ends, asked = played(function, random.Random(seed))
    again = live
    for length in range(len(ends) + 1):
        again = driver(function)
        for at, end in enumerate(ends[:length], start=1):
            deliver(again, end, at)
        assert commands(again) == asked[length]
    assert str(again.finished) == str(live.finished)
    assert len({issued.path for issued in live.issued.values()}) == len(live.issued)


def test_paths_are_names_or_places_within_their_scopes() -> None:
    async def workflow(ctx: Context, value: dict[str, Any]) -> RunOutcome:
        for _ in range(2):
            await ctx.tool("t", name="price")
        await ctx.gather(ctx.ai("p"), ctx.gather(ctx.tool("a"), ctx.tool("b", name="b")))
        return ctx.outcome("ok")

    made = driver(workflow)
    deliver(made, ("price", True, 1), 1)
    deliver(made, ("price_2", True, 1), 2)
    assert list(made.issued) == [
        "price",
        "price_2",
        "gather_3[0]/ai_1",
        "gather_3[1]/gather_1[0]/tool_1",
        "gather_3[1]/gather_1[1]/b",
    ]


def test_labels_are_the_join_of_everything_read_so_far() -> None:
    async def workflow(ctx: Context, value: dict[str, Any]) -> RunOutcome:
        await ctx.tool("a")
        await ctx.tool("b", {"constant": 1})
        return ctx.outcome("ok")

    mine, theirs = Labels(sources=frozenset({"input"})), Labels(trust=Trust.UNTRUSTED, sources=frozenset({"model:x"}))
    made = driver(workflow, labels=mine)
    made.deliver("tool_1", StepState("done", "done", labels=theirs, readable=True), None, at=START)
    first, second = (issued.decision.labels for issued in made.issued.values())
    assert first == mine
    assert second == mine.join(theirs)


def test_now_is_the_time_of_the_event_that_it_goes_on_from() -> None:
    times: list[datetime] = []

    async def workflow(ctx: Context, value: dict[str, Any]) -> RunOutcome:
        times.append(ctx.now())
        await ctx.tool("a")
        times.append(ctx.now())
        return ctx.outcome("ok")

    deliver(driver(workflow), ("tool_1", True, 1), 60)
    assert times == [START, START + timedelta(seconds=60)]


def test_a_gather_ends_when_all_have_and_raises_the_first_failure_in_order() -> None:
    async def workflow(ctx: Context, value: dict[str, Any]) -> RunOutcome:
        try:
            await ctx.gather(ctx.tool("a"), ctx.tool("b"), ctx.tool("c"))
        except StepFailed as failure:
            return ctx.outcome("ok", {"path": failure.path})
        return ctx.outcome("ok")

    made = driver(workflow)
    deliver(made, ("gather_1[2]/tool_1", False, 0), 1)
    deliver(made, ("gather_1[1]/tool_1", False, 0), 2)
    assert made.finished is None
    deliver(made, ("gather_1[0]/tool_1", True, 0), 3)
    assert made.finished == RunOutcome("ok", {"path": "gather_1[1]/tool_1"})


def test_at_most_so_many_branches_are_under_way() -> None:
    async def workflow(ctx: Context, value: dict[str, Any]) -> RunOutcome:
        results = await ctx.gather(*(ctx.tool("a", {"n": n}) for n in range(4)), at_once=2, errors=True)
        return ctx.outcome("ok", {"failed": [isinstance(result, StepFailed) for result in results]})

    made = driver(workflow)
    for n, done in ((0, True), (1, False), (2, True), (3, True)):
        assert sum(made.waits_for(path) for path in made.issued) <= 2
        deliver(made, (f"gather_1[{n}]/tool_1", done, n), n + 1)
    assert made.finished == RunOutcome("ok", {"failed": [False, True, False, False]})


def test_a_step_needs_the_approval_that_it_requires() -> None:
    async def workflow(ctx: Context, value: dict[str, Any]) -> RunOutcome:
        decision = await ctx.review("Pay?", by="role/lead", propose={"cents": 5}, name="decision")
        assert isinstance(decision, Result)
        await ctx.tool("pay", requires=[decision], name="pay")
        return ctx.outcome("ok")

    rejected, approved = driver(workflow), driver(workflow)
    state = StepState("done", "rejected", readable=False, is_review=True)
    rejected.deliver("decision", state, None, at=START)
    assert isinstance(rejected.issued["pay"].decision, Ended)
    state = StepState("done", "approved", {"cents": 5}, readable=True, is_review=True)
    approved.deliver("decision", state, None, at=START)
    decision = approved.issued["pay"].decision
    assert isinstance(decision, Ready)
    assert approved.issued["pay"].step.requires == ("decision",)


async def _sleep(ctx: Context) -> None:
    await asyncio.sleep(0)


async def _task(ctx: Context) -> None:
    asyncio.get_running_loop().create_task(asyncio.sleep(1))


class _Other(Awaitable[None]):
    def __await__(self) -> Generator[Any, Any, None]:
        yield 3


async def _other(ctx: Context) -> None:
    await _Other()


@pytest.mark.parametrize("astray", [_sleep, _task, _other])
async def test_nothing_of_asyncio_can_be_awaited_although_a_loop_runs_the_driver(astray: Any) -> None:
    async def workflow(ctx: Context, value: dict[str, Any]) -> RunOutcome:
        await astray(ctx)
        return ctx.outcome("ok")

    with pytest.raises(ForeignAwaitError, match=r"ctx\.wait"):
        driver(workflow)
    assert asyncio.get_running_loop().is_running()


@pytest.mark.parametrize(
    ("end", "kind"),
    [
        (ValueError("no"), "workflow_error"),
        (WorkflowFailed("the customer left", kind="gone"), "gone"),
        (SystemExit(1), "workflow_error"),
        (None, "no_outcome"),
        (RunOutcome("okay"), "no_outcome"),
        (RunOutcome("ok", {"x": object()}), "contract"),
    ],
)
def test_an_end_that_is_no_outcome_is_a_failure_of_the_run(end: Any, kind: str) -> None:
    async def workflow(ctx: Context, value: dict[str, Any]) -> Any:
        if isinstance(end, BaseException):
            raise end
        return end

    finished = driver(workflow).finished
    assert isinstance(finished, StepError)
    assert finished.kind == kind


WRONG: list[Callable[[Any], Awaitable[Any]]] = [
    lambda ctx: ctx.tool("a", {"x": object()}),
    lambda ctx: ctx.tool("a", retry={"time": 3}),
    lambda ctx: ctx.tool("a", timeout="soon"),
    lambda ctx: ctx.tool("a", name="No Name"),
    lambda ctx: ctx.tool("a", once=""),
    lambda ctx: ctx.tool("a", undo="payments.reverse"),
    lambda ctx: ctx.tool("a", requires=["never"]),
    lambda ctx: ctx.review("?", by="lead"),
    lambda ctx: ctx.review("?", by="role/lead", editable=["x"]),
    lambda ctx: ctx.wait("-2h"),
    lambda ctx: ctx.wait(datetime(2026, 1, 1)),  # noqa: DTZ001  (that it has no zone is what is wrong)
    lambda ctx: ctx.retrieve("docs", "q", top=0),
]


@pytest.mark.parametrize("wrong", WRONG)
def test_a_command_that_cannot_be_is_an_error_at_its_line(wrong: Callable[[Context], Awaitable[Any]]) -> None:
    async def workflow(ctx: Context, value: dict[str, Any]) -> RunOutcome:
        with pytest.raises((ValueError, TypeError)):
            await wrong(ctx)
        return ctx.outcome("ok")

    assert driver(workflow).finished == RunOutcome("ok")


def test_a_change_holds_for_runs_that_had_not_passed_it() -> None:
    async def workflow(ctx: Context, value: dict[str, Any]) -> RunOutcome:
        await ctx.tool("a", name="a")
        if ctx.patched("twice"):
            await ctx.tool("again", name="again")
        await ctx.tool("b", name="b")
        return ctx.outcome("ok")

    new, old = driver(workflow, recorded=frozenset({"a"})), driver(workflow, recorded=frozenset({"a", "b"}))
    deliver(new, ("a", True, 1), 1)
    deliver(old, ("a", True, 1), 1)
    assert list(new.issued) == ["a", "again"]
    assert new.issued["again"].patches == ("twice",)
    assert list(old.issued) == ["a", "b"]


def test_what_a_workflow_changes_in_its_data_stays_with_it() -> None:
    given_input: dict[str, Any] = {"lines": [1]}
    output = {"lines": [1]}

    async def workflow(ctx: Context, value: dict[str, Any]) -> RunOutcome:
        value["lines"].append(2)
        (await ctx.tool("a"))["lines"].append(2)
        return ctx.outcome("ok")

    made = Driver(
        workflow,
        run_id=UUID(int=1),
        input_value=given_input,
        started_at=START,
        labels=BOTTOM,
        outcomes=frozenset({"ok"}),
    )
    made.start()
    made.deliver("tool_1", StepState("done", "done", output, readable=True), None, at=START)
    assert given_input == output == {"lines": [1]}


def test_closing_runs_what_the_code_has_to_clean_up_and_no_command() -> None:
    cleaned: list[str] = []

    async def workflow(ctx: Context, value: dict[str, Any]) -> RunOutcome:
        try:
            await ctx.tool("a")
        finally:
            cleaned.append("yes")
            await ctx.tool("b")
        return ctx.outcome("ok")

    made = driver(workflow)
    made.close()
    assert cleaned == ["yes"]
    assert list(made.issued) == ["tool_1"]
