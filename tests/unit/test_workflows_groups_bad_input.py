"""Every mistake that a document can make with groups, calls, waits, failures and ends has its place and its reason."""

from __future__ import annotations

import pytest
from support.group_cases import HEAD, LINES, ORDER, POLL, compiled, problems
from support.workflow_cases import INTEGER, STRING, record

from signoff.workflows import Contract, Contracts

SET = "  a: {set: {n: 1, list: [1], text: x}}\n"


def marked(text: str) -> tuple[str, int, int]:
    """The text without its `»`, and the line and column of what stood behind it, in the whole document."""
    before, after = text.split("»")
    line = len(f"{HEAD}steps:\n{before}".split("\n"))
    return before + after, line, len(before) - before.rfind("\n")


GROUPS = {
    "for over a number": (SET + "  g: {for: »'${a.n}', steps: {x: {set: {y: 1}}}, give: {}}\n", "type", "a list"),
    "for without steps": (SET + "  g: »{for: '${a.list}', give: {}}\n", "missing-key", "'steps' is missing"),
    "for without give": (SET + "  g: »{for: '${a.list}', steps: {x: {set: {y: 1}}}}\n", "missing-key", "'give'"),
    "an empty body": (SET + "  g: {for: '${a.list}', give: {}, steps: »{}}\n", "missing-key", "at least one step"),
    "a body that is a list": ("  g: {do: »[1]}\n", "type", "'do' is a mapping"),
    "give that is no mapping": ("  g: {do: {x: {set: {y: 1}}}, give: »'${x}'}\n", "type", "'give' is a mapping"),
    "at_once of nothing": (
        SET + "  g: {for: '${a.list}', at_once: »0, steps: {x: {set: {y: 1}}}, give: {}}\n",
        "value",
        "1 to 100",
    ),
    "at_once of too much": (
        SET + "  g: {for: '${a.list}', at_once: »101, steps: {x: {set: {y: 1}}}, give: {}}\n",
        "value",
        "1 to 100",
    ),
    "too many items": (
        SET + "  g: {for: '${a.list}', max: »10001, steps: {x: {set: {y: 1}}}, give: {}}\n",
        "value",
        "1 to 10000",
    ),
    "another way with failures": (
        SET + "  g: {for: '${a.list}', failures: »colect, steps: {x: {set: {y: 1}}}, give: {}}\n",
        "value",
        "fail or collect",
    ),
    "an item that cannot be called so": (
        SET + "  g: {for: '${a.list}', as: »Line, steps: {x: {set: {y: 1}}}, give: {}}\n",
        "name",
        "item's name",
    ),
    "an item called as a word of the language": (
        SET + "  g: {for: '${a.list}', as: »index, steps: {x: {set: {y: 1}}}, give: {}}\n",
        "name",
        "item's name",
    ),
    "an item called as a step": (
        SET + "  g: {for: '${a.list}', as: »a, steps: {x: {set: {y: 1}}}, give: {}}\n",
        "name",
        "something else",
    ),
    "an item called as a step of the body": (
        SET + "  g: {for: '${a.list}', as: »x, steps: {x: {set: {y: 1}}}, give: {}}\n",
        "name",
        "something else here",
    ),
    "repeat without until": ("  g: »{repeat: {x: {set: {y: 1}}}}\n", "missing-key", "'until'"),
    "until that is no condition": ("  g: {repeat: {x: {set: {y: 1}}}, until: »x.y}\n", "type", "boolean"),
    "turns without end": (
        "  g: {repeat: {x: {set: {y: 1}}}, until: 'true', max: »10001}\n",
        "value",
        "1 to 10000",
    ),
    "every that is no duration": (
        "  g: {repeat: {x: {set: {y: 1}}}, until: 'true', every: »often}\n",
        "value",
        "not a duration",
    ),
    "start that is no mapping": (
        "  g: {repeat: {x: {set: {y: 1}}}, until: 'true', start: »x}\n",
        "type",
        "'start' is a mapping",
    ),
    "start that give forgets": (
        "  g: {repeat: {x: {set: {y: 1}}}, until: 'true', start: {»cursor: ''}, give: {cursr: '${x.y}'}}\n",
        "unknown-name",
        "first turn only",
    ),
    "start of another type": (
        "  g: {repeat: {x: {set: {y: 1}}}, until: 'true', start: {c: ''}, give: {c: »'${x.y}'}}\n",
        "type",
        "in the first turn",
    ),
    "a field of its own in give": (
        "  g: {repeat: {x: {set: {y: 1}}}, until: 'true', give: {»turns: 1}}\n",
        "name",
        "has already",
    ),
    "done in what do gives": ("  g: {do: {x: {set: {y: 1}}}, give: {»done: 1}}\n", "name", "has already"),
    "a key of another group": (
        "  g: {do: {x: {set: {y: 1}}}, »until: 'true'}\n",
        "unknown-key",
        "not a key of a step with 'do'",
    ),
    "renew inside a group": (
        "  g: {do: {h: {repeat: {x: {set: {y: 1}}}, until: 'true', »renew: 5}}}\n",
        "value",
        "cannot go on in a new run",
    ),
    "retry of a group": ("  g: {do: {x: {set: {y: 1}}}, »retry: {times: 1}}\n", "unknown-key", "'do'"),
}

NAMES = {
    "a misspelt item": (
        ORDER + "  g: {for: '${order.lines}', as: line, steps: {x: {set: {y: '${»lin.sku}'}}}, give: {}}\n",
        "expression-name",
        "Did you mean 'line'",
    ),
    "a field that the item does not have": (
        ORDER + "  g: {for: '${order.lines}', as: line, steps: {x: {set: {y: '${line.»skuu}'}}}, give: {}}\n",
        "expression-field",
        "Did you mean 'sku'",
    ),
    "a step inside, from outside": (
        ORDER + LINES + "  after: {set: {y: '${»price.cents}'}}\n",
        "expression-name",
        "inside 'lines'",
    ),
    "the item, from outside": (ORDER + LINES + "  b: {set: {y: '${»line.sku}'}}\n", "expression-name", "named 'line'"),
    "requires of a step inside": (
        ORDER + LINES + "  b: {requires: »price, set: {y: 1}}\n",
        "unknown-name",
        "inside 'lines'",
    ),
    "after an item": (
        ORDER + "  g: {for: '${order.lines}', steps: {x: {after: »item, set: {y: 1}}}, give: {}}\n",
        "unknown-name",
        "is no step",
    ),
    "a name that shadows": ("  x: {set: {n: 1}}\n  g: {do: {»x: {set: {y: 1}}}}\n", "name", "outside of this group"),
    "a step called index": ("  »index: {set: {n: 1}}\n", "name", "a word of the language"),
    "an item inside an item": (
        ORDER
        + "  g: {for: '${order.lines}', give: {}, steps: {h: »{for: '${order.lines}', give: {}, steps: "
        + "{x: {set: {n: 1}}}}}}\n",
        "name",
        "called 'item'",
    ),
    "a field that a group does not give": (
        ORDER + LINES + "  b: {set: {y: '${lines.items[0].»cent}'}}\n",
        "expression-field",
        "Did you mean 'cents'",
    ),
    "a field that no turn gives": (
        POLL + "  b: {set: {y: '${poll.»state}'}}\n",
        "expression-field",
        "no field 'state'",
    ),
    "last of what is not given": (
        "  g: {repeat: {x: {set: {y: '${last.»z}'}}}, until: 'true', give: {w: '${x.y}'}}\n",
        "expression-field",
        "no field 'z'",
    ),
    "a group that reads itself": (
        ORDER + "  »g: {for: '${order.lines}', steps: {x: {set: {y: '${g.count}'}}}, give: {}}\n",
        "cycle",
        "waits for itself",
    ),
    "a cycle inside": ("  g: {do: {»x: {set: {y: '${z.y}'}}, z: {set: {y: '${x.y}'}}}}\n", "cycle", "x → z → x"),
    "a cycle through a body": (
        "  »g: {do: {x: {set: {y: '${b.y}'}}}, give: {y: '${x.y}'}}\n  b: {set: {y: '${g.y}'}}\n",
        "cycle",
        "g → b → g",
    ),
}

CALLS = {
    "a workflow that is not there": (
        "  s: {call: »support/refund_lin, with: {order: o}}\n",
        "unknown-name",
        "Did you mean 'support/refund_line'",
    ),
    "an argument too many": (
        "  s: {call: support/refund_line, with: {order: o, »x: 1}}\n",
        "unknown-argument",
        "knows no 'x'",
    ),
    "an argument too few": ("  s: {call: support/refund_line, with: »{}}\n", "missing-argument", "'order' is missing"),
    "an argument of another type": ("  s: {call: support/refund_line, with: {order: »1}}\n", "type", "takes a string"),
    "an outcome that is not there": (
        "  s: {call: support/refund_line, with: {order: o}}\n  b: {when: s.outcome »== 'refundd', set: {n: 1}}\n",
        "expression-constant",
        "Did you mean 'refunded'",
    ),
    "an output of what is detached": (
        "  s: {call: support/refund_line, with: {order: o}, detach: true}\n  b: {set: {n: '${s.»output.refund}'}}\n",
        "expression-field",
        "no field 'output'",
    ),
    "detach that is no boolean": (
        "  s: {call: support/refund_line, with: {order: o}, detach: »often}\n",
        "type",
        "true or false",
    ),
    "on_cancel of what is detached": (
        "  s: {call: support/refund_line, with: {order: o}, detach: true, »on_cancel: leave}\n",
        "value",
        "goes on by itself",
    ),
    "another on_cancel": (
        "  s: {call: support/refund_line, with: {order: o}, on_cancel: »stop}\n",
        "value",
        "cancel or leave",
    ),
    "a priority of ten": (
        "  s: {call: support/refund_line, with: {order: o}, priority: »10}\n",
        "value",
        "from 1 to 9",
    ),
    "a name that varies": ("  s: {call: »'${input.id}', with: {order: o}}\n", "type", "fixed"),
}

WAITS = {
    "nothing to wait for": ("  w: {wait: »soon}\n", "value", "A wait is for some time"),
    "a number": ("  w: {wait: »5}\n", "value", "A wait is for some time"),
    "no time at all": ("  w: {wait: »0s}\n", "value", "longer than nothing"),
    "an event without a type": ("  w: {wait: »{match: {a: 1}}}\n", "missing-key", "'event' is missing"),
    "a type that is none": ("  w: {wait: {event: »'a b'}}\n", "name", "event's type"),
    "another key": ("  w: {wait: {event: a.b, »mach: {a: 1}}}\n", "unknown-key", "not a key of 'wait'"),
    "a match that is no mapping": ("  w: {wait: {event: a.b, match: »5}}\n", "type", "'match' is a mapping"),
    "a match with a list": (
        SET + "  w: {wait: {event: a.b, match: {x: »'${a.list}'}}}\n",
        "type",
        "text, number or boolean",
    ),
    "a moment that is a number": ("  w: {wait: »'${input.n}'}\n", "type", "RFC 3339"),
    "a pause that times out": ("  w: {wait: 2h, »timeout: 3h}\n", "unknown-key", "for events"),
    "on_timeout without a timeout": (
        "  w: {wait: {event: a.b}, »on_timeout: continue}\n",
        "value",
        "never times out",
    ),
    "another on_timeout": (
        "  w: {wait: {event: a.b}, timeout: 1d, on_timeout: »ignore}\n",
        "value",
        "fail or continue",
    ),
    "a field of an event's envelope": (
        "  w: {wait: {event: a.b}}\n  b: {set: {n: '${w.»evnt.x}'}}\n",
        "expression-field",
        "Did you mean 'event'",
    ),
    "the data of a pause": ("  w: {wait: 2h}\n  b: {set: {n: '${w.»event}'}}\n", "expression-field", "no field"),
}

TOOL = "  t: {tool: shop.price, with: {sku: s}, "
FAILURES = {
    "on_error that is a word": (TOOL + "on_error: »ignore}\n", "type", "'continue' or 'fail'"),
    "on_error that is a list": (TOOL + "on_error: »[1]}\n", "type", "'continue' or 'fail'"),
    "a value that breaks the contract": (
        TOOL + "on_error: {value: {»cent: 1}}}\n",
        "unknown-argument",
        "Did you mean 'cents'",
    ),
    "an old form that breaks the contract": (TOOL + "on_error: »{}}\n", "missing-argument", "'cents' is missing"),
    "steps without give": (TOOL + "on_error: »{steps: {x: {set: {n: 1}}}}}\n", "missing-key", "has cents"),
    "steps that give too little": (
        TOOL + "on_error: {steps: {x: {set: {n: 1}}}, give: »{}}}\n",
        "missing-argument",
        "'cents' is missing",
    ),
    "a fallback that reads its own step": (
        "  »t: {tool: shop.price, with: {sku: s}, on_error: {steps: {x: {set: {n: '${t}'}}}, give: {cents: 1}}}\n",
        "cycle",
        "waits for itself",
    ),
    "a fallback's step, from outside": (
        TOOL + "on_error: {steps: {x: {set: {n: 1}}}, give: {cents: '${x.n}'}}}\n  b: {set: {n: '${»x.n}'}}\n",
        "expression-name",
        "named 'x'",
    ),
    "a group's fallback that breaks what it gives": (
        "  g: {do: {x: {set: {n: 1}}}, give: {n: '${x.n}'}, on_error: {»m: 1}}\n",
        "unknown-argument",
        "knows no 'm'",
    ),
    "jitter of more than one": (TOOL + "retry: {times: 1, jitter: »1.5}}\n", "value", "from 0 to 1"),
    "jitter that is a text": (TOOL + "retry: {times: 1, jitter: »much}}\n", "value", "from 0 to 1"),
    "a kind that is none": (TOOL + "retry: {times: 1, on: »HTTP-500}}\n", "name", "kind of error"),
    "kinds that are no texts": (TOOL + "retry: {times: 1, on: [»500]}}\n", "type", "is a text"),
    "a kind in both": (
        TOOL + "retry: {times: 1, on: [timeout], never: »[timeout]}}\n",
        "value",
        "stands in 'on' and in 'never'",
    ),
    "a key of retry that is not there": (TOOL + "retry: {times: 1, »jiter: 0.1}}\n", "unknown-key", "'retry'"),
}


@pytest.mark.parametrize(
    ("text", "code", "detail"),
    [pytest.param(*case, id=name) for table in (GROUPS, NAMES, CALLS, WAITS, FAILURES) for name, case in table.items()],
)
def test_a_mistake_has_its_place(text: str, code: str, detail: str) -> None:
    steps, line, column = marked(text)
    found = problems(steps)
    told = [(p.line, p.column, p.code, p.detail, p.suggestion, p.pointer) for p in found]
    first = next((p for p in found if (p.line, p.column, p.code) == (line, column, code)), None)
    assert first is not None, (line, column, told)
    assert detail in f"{first.detail} {first.suggestion}", told
    assert first.file == "workflows/orders.yaml"
    assert first.pointer is not None
    assert first.pointer.startswith("/steps/")


ENDS = {
    "an outcome without a condition": ("outcome: {a: »{give: {n: 1}}}\n", "missing-key", "'when' is missing"),
    "a key of an outcome": ("outcome: {a: {when: 'true', »gives: {n: 1}}}\n", "unknown-key", "Did you mean 'give'"),
    "give of a text": ("outcome: {a: {when: 'true', give: »x}}\n", "type", "'give' is a mapping"),
    "give of what is not there": (
        "outcome: {a: {when: 'true', give: {n: '${a.»m}'}}}\n",
        "expression-field",
        "no field 'm'",
    ),
    "attributes that are a list": (
        "attributes: »[1]\noutcome: {a: 'true'}\n",
        "type",
        "'attributes' is a mapping",
    ),
    "an attribute that is a list": ("attributes: {x: »[1]}\noutcome: {a: 'true'}\n", "type", "one value"),
    "an attribute that is an object": (
        "attributes: {x: »'${a}'}\noutcome: {a: 'true'}\n",
        "type",
        "a text, number or boolean",
    ),
    "an attribute without a type": (
        "attributes: {x: »'${e.event.id}'}\noutcome: {a: 'true'}\n",
        "type",
        "not known",
    ),
    "another type": (
        "attributes: {x: {value: '${a.n}', type: »intger}}\noutcome: {a: 'true'}\n",
        "value",
        "Did you mean 'integer'",
    ),
    "a type that the value never has": (
        "attributes: {x: {value: »'${a.n}', type: timestamp}}\noutcome: {a: 'true'}\n",
        "type",
        "cannot be an integer",
    ),
    "a type alone": ("attributes: {x: »{type: text}}\noutcome: {a: 'true'}\n", "missing-key", "'value' is missing"),
    "an attribute's name": ("attributes: {»X: 'a'}\noutcome: {a: 'true'}\n", "name", "attribute's name"),
    "too few events": ("limits: {events: »5}\noutcome: {a: 'true'}\n", "value", "from 100 to"),
    "events that are a text": ("limits: {events: »many}\noutcome: {a: 'true'}\n", "value", "whole number"),
}


@pytest.mark.parametrize(("end", "code", "detail"), [pytest.param(*case, id=name) for name, case in ENDS.items()])
def test_a_mistake_about_the_whole_has_its_place(end: str, code: str, detail: str) -> None:
    steps = SET + "  e: {wait: {event: a.b}}\n"
    before, after = end.split("»")
    line = len(f"{HEAD}steps:\n{steps}{before}".split("\n"))
    found = problems(steps, before + after)
    told = [(p.line, p.column, p.code, p.detail, p.suggestion) for p in found]
    first = next((p for p in found if (p.line, p.code) == (line, code)), None)
    assert first is not None, (line, told)
    assert first.column == len(before) - before.rfind("\n"), told
    assert detail in f"{first.detail} {first.suggestion}", told


def test_groups_are_nested_five_deep_and_no_deeper() -> None:
    def nested(depth: int) -> str:
        inner = "{set: {n: 1}}"
        for level in range(depth):
            inner = f"{{do: {{s{level}: {inner}}}}}"
        return f"  g: {inner}\n"

    assert compiled(nested(5)).steps[0].body[0].body[0].body[0].body[0].body[0].verb == "set"
    [problem] = problems(nested(6))
    assert problem.code == "limit"
    assert "5 deep" in problem.detail


def test_steps_of_bodies_and_fallbacks_count() -> None:
    inner = ", ".join(f"s{number}: {{set: {{n: 1}}}}" for number in range(250))
    steps = f"  g: {{do: {{{inner}}}}}\n  h: {{do: {{{inner}}}}}\n"
    [problem] = problems(steps)
    assert problem.code == "limit"
    assert "500 steps" in problem.detail


def test_an_output_with_a_field_called_value_keeps_the_old_form() -> None:
    contracts = Contracts(tools={"t": Contract(record(), record(value=record(n=INTEGER), steps=STRING))})
    step = compiled("  a: {tool: t, on_error: {value: {n: 1}, steps: x}}\n", contracts=contracts).step("a")
    assert step.on_error is not None
    assert step.on_error.evaluate(None) == {"value": {"n": 1}, "steps": "x"}  # type: ignore[arg-type]
