"""Groups, calls, waits, failures and ends mean what the document says; scopes see what they should."""

from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from support.group_cases import LINES, ORDER, POLL, compiled, problems

from signoff.core.errors import DefinitionError, Problem
from signoff.workflows import Step, describe
from signoff.workflows.model import Retry, every_step


def test_a_for_is_what_it_says() -> None:
    step = compiled(ORDER + LINES).step("lines")
    assert step.settings == {"as": "line", "at_once": 5, "max": 500, "failures": "fail"}
    assert [inner.name for inner in step.body] == ["price"]
    assert step.waits_for == {"order"}
    assert step.body[0].waits_for == frozenset()
    assert step.give is not None
    assert {read.root for read in step.give.reads} == {"line", "price", "index"}


def test_a_repeat_is_what_it_says() -> None:
    step = compiled(POLL).step("poll")
    assert step.settings == {"max": 20, "every": 30.0}
    assert step.arguments["start"].evaluate(None) == {"cursor": ""}  # type: ignore[arg-type]
    assert step.until is not None
    assert step.until.source == "ask.state == 'ready'"


def test_what_a_group_gives_is_known_outside() -> None:
    used = "  b: {set: {a: '${lines.items[0].cents + lines.count + poll.turns}', k: '${lines.failed[0].error.kind}'}}\n"
    workflow = compiled(ORDER + LINES + POLL + used)
    assert workflow.step("b").waits_for == {"lines", "poll"}
    [problem] = problems(ORDER + LINES + "  b: {when: \"lines.items[0].cents == 'x'\", set: {a: 1}}\n")
    assert "never equal" in problem.detail


def test_collected_items_may_be_null() -> None:
    collected = LINES.replace("    max: 500\n", "    max: 500\n    failures: collect\n")
    workflow = compiled(ORDER + collected + "  b: {when: 'lines.items[0] == null', set: {a: '${lines.failed}'}}\n")
    assert workflow.step("lines").settings["failures"] == "collect"


def test_names_of_enclosing_scopes_are_visible_and_waited_for() -> None:
    steps = """\
  pre: {set: {n: 1}}
  far: {set: {n: 1}}
  g:
    do:
      near: {set: {n: "${pre.n}"}}
      h:
        for: [1, 2]
        steps:
          x: {requires: near, after: far, set: {n: "${item + index + near.n + input.n}"}}
        give: {n: "${x.n}"}
    give: {all: "${h.items}"}
"""
    group = compiled(steps).step("g")
    near, inner = group.body
    assert group.waits_for == {"pre", "far"}
    assert (near.waits_for, inner.waits_for) == (frozenset(), {"near"})
    assert inner.body[0].waits_for == frozenset()
    assert inner.body[0].requires == ("near",)


def test_siblings_may_have_the_same_names() -> None:
    workflow = compiled("  g: {do: {x: {set: {n: 1}}}}\n  h: {do: {x: {set: {n: 2}}}}\n")
    assert [step.name for step in every_step(workflow.steps)] == ["g", "x", "h", "x"]


def test_index_and_last_are_those_of_the_innermost_group() -> None:
    steps = """\
  g:
    for: [[1], [2]]
    as: row
    steps:
      h: {for: "${row}", as: cell, steps: {x: {set: {n: "${cell + index}"}}}, give: {n: "${x.n}"}}
    give: {place: "${index}", cells: "${h.items}"}
"""
    assert compiled(steps).step("g").body[0].body[0].name == "x"


def test_calls_and_waits_are_what_they_say() -> None:
    steps = """\
  paid: {wait: {event: payment.received.v1, match: {order: "${input.id}"}}, timeout: 3d, on_timeout: continue}
  pause: {wait: 2h}
  due: {wait: "${input.due_at}"}
  day: {wait: "2027-01-01T00:00:00Z"}
  sub: {call: support/refund_line, with: {order: "${paid.event.order}"}, on_cancel: leave, priority: 1}
  away: {call: support/refund_line, with: {order: x}, detach: true}
  b:
    when: paid.result == 'timed_out' || sub.outcome == 'rejected'
    set: {r: "${sub.output.refund}", i: "${away.run_id}"}
"""
    workflow = compiled(steps)
    paid, pause, due, day, sub, away, _ = workflow.steps
    assert (paid.target, paid.settings, paid.timeout_s) == ("payment.received.v1", {"on_timeout": "continue"}, 259200)
    assert (pause.settings, pause.arguments) == ({"duration_s": 7200.0}, {})
    assert (list(due.arguments), due.settings) == (["until"], {})
    assert day.arguments["until"].source == "2027-01-01T00:00:00Z"
    assert sub.settings == {"detach": False, "on_cancel": "leave", "priority": 1}
    assert away.settings == {"detach": True, "on_cancel": "cancel"}
    assert away.target == "support/refund_line"


TOOL = "  t: {tool: shop.price, with: {sku: s}, "


@pytest.mark.parametrize(
    ("written", "mode"),
    [
        ("on_error: continue", "continue"),
        ("on_error: {value: {cents: 0}}", "value"),
        ("on_error: {cents: 0}", "value"),
        ("on_error: {steps: {x: {set: {n: 1}}}, give: {cents: '${x.n}'}}", "steps"),
        ("retry: {times: 1}", "fail"),
    ],
)
def test_forms_of_on_error(written: str, mode: str) -> None:
    step = compiled(f"{TOOL}{written}}}\n").step("t")
    assert step.error_mode == mode
    assert (step.on_error is not None) == (mode == "value")
    assert [inner.name for inner in step.fallback] == (["x"] if mode == "steps" else [])
    if step.on_error is not None:
        assert step.on_error.evaluate(None) == {"cents": 0}  # type: ignore[arg-type]


def test_a_fallback_waits_for_what_it_names() -> None:
    text = ORDER + f"{TOOL}on_error: {{steps: {{x: {{set: {{n: '${{order.id}}'}}}}}}, give: {{cents: 1}}}}}}\n"
    assert compiled(text).step("t").waits_for == {"order"}


def test_a_retry_says_after_what_and_how_far_apart() -> None:
    retry = compiled(f"{TOOL}retry: {{times: 4, delay: 2s, jitter: 0.5, on: [timeout, http_5xx], never: http_501}}}}\n")
    found = retry.step("t").retry
    assert found == Retry(4, 2.0, 2.0, 300.0, 0.5, frozenset(("timeout", "http_5xx")), frozenset(("http_501",)))
    kinds = ("timeout", "http_500", "http_501", "http_429", "rate_limited", "http_5xx")
    assert [kind for kind in kinds if found.retries(kind, retryable=False)] == ["timeout", "http_500", "http_5xx"]
    assert all(Retry().retries(kind, retryable=True) for kind in kinds)
    assert not any(Retry().retries(kind, retryable=False) for kind in kinds)
    assert (found.delay_before_s(1, 0.0), found.delay_before_s(1), found.delay_before_s(1, 1.0)) == (1.0, 2.0, 3.0)


END = """\
limits: {cost: 1 USD, time: 3d, events: 5000}
attributes:
  order: "${order.id}"
  cents: "${lines.items[0].cents}"
  due: {value: "${input.due_at}", type: timestamp}
outcome:
  nothing: order.lines.size() == 0
  priced: {when: lines.done, give: {lines: "${lines.items}", first: "${lines.items[0].cents}"}}
"""


def test_ends_and_attributes() -> None:
    workflow = compiled(ORDER + LINES, END)
    assert workflow.limits.events == 5000
    assert [(one.name, one.type) for one in workflow.attributes] == [
        ("order", "text"),
        ("cents", "integer"),
        ("due", "timestamp"),
    ]
    assert [(one.name, one.give is None) for one in workflow.outcomes] == [("nothing", True), ("priced", False)]
    schema = workflow.output_schema
    assert schema["properties"]["first"] == {"type": "integer"}
    assert schema["properties"]["lines"]["items"]["properties"]["sku"] == {"type": "string"}
    assert schema["required"] == []  # an outcome that gives nothing may be the run's


def test_a_description_shows_what_is_inside() -> None:
    lines = describe(
        compiled(ORDER + LINES + f"{TOOL}on_error: {{steps: {{x: {{set: {{n: 1}}}}}}, give: {{cents: 1}}}}}}\n")
    )
    assert "  2. lines: for order.lines; waits for order" in lines.split("\n")
    assert "     - price: tool shop.price" in lines.split("\n")
    assert "     - on error: x: set" in lines.split("\n")


# --- properties ------------------------------------------------------------------------------------------------------

NAMES = ("a", "b", "c", "d")


@st.composite
def scopes(draw: st.DrawFn, depth: int = 0) -> str:
    """The steps of a scope as flow mappings, which read names that may or may not be visible."""
    steps: list[str] = []
    for name in draw(st.lists(st.sampled_from(NAMES), min_size=1, max_size=3, unique=True)):
        read = draw(st.sampled_from((*NAMES, "item", "last", "index", "1")))
        verb = draw(st.sampled_from(("set", "do", "for", "repeat") if depth < 3 else ("set",)))
        if verb == "set":
            steps.append(f"{name}: {{set: {{n: '${{{read}}}'}}}}")
            continue
        body = draw(scopes(depth + 1))
        ends = {
            "do": f"do: {body}, give: {{n: '${{{read}}}'}}",
            "for": f"for: [1], as: item{depth}, steps: {body}, give: {{n: '${{{read}}}'}}",
            "repeat": f"repeat: {body}, until: '{read} == 1', give: {{n: 1}}",
        }
        steps.append(f"{name}: {{{ends[verb]}}}")
    return "{" + ", ".join(steps) + "}"


def _inner(step: Step) -> list[Step]:
    return [*step.body, *step.fallback]


def _check(steps: tuple[Step, ...], enclosing: frozenset[str]) -> None:
    own = {step.name for step in steps}
    assert not own & enclosing, "a name shadows"
    ended: set[str] = set()
    waiting = list(steps)
    while waiting:
        ready = [step for step in waiting if step.waits_for <= ended]
        assert ready, "steps wait for each other"
        ended |= {step.name for step in ready}
        waiting = [step for step in waiting if step.name not in ended]
    for step in steps:
        assert step.waits_for <= own, "it waits for a step of another scope"
        below = list(every_step(_inner(step)))
        roots = {read.root for inner in below for value in inner.arguments.values() for read in value.reads}
        assert roots & own <= step.waits_for, "its body reads a step that it does not wait for"
        _check(step.body, enclosing | own)


@settings(max_examples=60, deadline=None)
@given(scopes())
def test_what_compiles_reads_only_what_is_visible_and_can_run(written: str) -> None:
    found: tuple[Problem, ...] = ()
    try:
        _check(compiled(f"  root: {{do: {written}}}\n").steps, frozenset())
    except DefinitionError as error:
        found = error.problems
    assert all(problem.line and problem.column and problem.pointer for problem in found)
