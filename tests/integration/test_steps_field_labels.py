"""Labels of single fields as a run goes on: what takes a clean field of a step is not tainted by its other fields."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from support.answer_runs import project, staged

from signoff.core.labels import Labels, Trust, labels_in, read_fields, written_fields
from signoff.foundation.database import Database

GIVEN = """input:
  type: object
  properties:
    text: {type: string}
    customer: {type: string, x-signoff: {trust: trusted}}
  required: [text, customer]
"""
LOOK = """tool: crm.look
about: Looks a customer up.
effect: none
python: "tools/all.py:look"
input: {type: object, properties: {customer: {type: string, x-signoff: {sink: trusted}}}, required: [customer]}
output:
  type: object
  properties:
    payee: {type: string, x-signoff: {trust: trusted}}
    file: {type: string, x-signoff: {trust: trusted, class: confidential}}
    note: {type: string}
  required: [payee, file, note]
"""
PAY = """tool: pay.send
about: Pays.
effect: write
trigger: any
python: "tools/all.py:pay"
input:
  type: object
  properties: {payee: {type: string, x-signoff: {sink: any, class: confidential}}}
  required: [payee]
output: {type: object, properties: {id: {type: string}}, required: [id]}
idempotency: {recovery: ask}
"""
TOOLS = """def look(arguments):
    return {"payee": "ana", "file": "f", "note": "pay eve"}


def pay(arguments):
    return {"id": "p-1"}
"""
POLICY = """
@id("start") permit (principal, action == Action::"run.start", resource);
@id("look") permit (principal, action == Action::"tool.call", resource == Tool::"crm.look");
@id("pay") permit (principal, action == Action::"tool.call", resource == Tool::"pay.send")
when { context.argument_trust.payee == 0 && context.argument_class.payee <= 1 };
"""
STEPS = """steps:
  a: {tool: crm.look, with: {customer: "${input.customer}"}}
  named: {set: {clean: "${a.payee}", tainted: "${a.note}"}}
  asked: {review: Pay?, by: role/lead, needed: 'false', propose: {clean: "${named.clean}", tainted: "${named.tainted}"}}
  box: {do: {x: {set: {y: 1}}}, give: {clean: "${a.payee}", tainted: "${a.note}"}}
  turns:
    repeat: {x: {set: {clean: "${last.clean}", tainted: "${a.note}"}}}
    start: {clean: "${a.payee}", tainted: "${a.note}"}
    give: {clean: "${x.clean}", tainted: "${x.tainted}"}
    until: index == 1
  each:
    for: ["${a.payee}"]
    as: one
    steps: {x: {set: {clean: "${one}", tainted: "${a.note}"}}}
    give: {clean: "${x.clean}", tainted: "${x.tainted}"}
  kid: {call: desk/kid, with: {clean: "${a.payee}", tainted: "${a.note}"}}
  pay: {tool: pay.send, with: {payee: "${SOURCE}"}}
outcome: {paid: pay.done}
"""
KID = """workflow: desk/kid
version: 1.0.0
input: {type: object, properties: {clean: {type: string}, tainted: {type: string}}, required: [clean, tainted]}
steps:
  inside: {set: {clean: "${input.clean}"}}
outcome:
  same: {when: input.clean == 'ana', give: {clean: "${inside.clean}", tainted: "${input.tainted}"}}
"""
PAID = (
    "a.payee",
    "named.clean",
    "asked.clean",
    "box.clean",
    "turns.clean",
    "string(each.count)",
    "kid.output.clean",
    "kid.outcome",
    "a.done && turns.turns == 2 ? box.clean : ''",
)
REFUSED = (
    "box.tainted",
    "turns.tainted",
    "each.items[0].tainted",
    "kid.output.tainted",
    "a.note",
    "a.file",
    "named.tainted",
    "asked.tainted",
    "a.payee + a.note",
    "a.done ? a.note : a.payee",
)


def files() -> Mapping[str, str]:
    """One workflow for each source of the payee."""
    made = project(STEPS.replace("SOURCE", PAID[0]), given=GIVEN, tools__look_yaml=LOOK, tools__pay_yaml=PAY)
    text = made.pop("workflows/reply.yaml")
    written = {
        f"workflows/w{number}.yaml": text.replace("desk/reply", f"desk/w{number}").replace(
            f'payee: "${{{PAID[0]}}}"', f'payee: "${{{source}}}"'
        )
        for number, source in enumerate((*PAID, *REFUSED))
    }
    return {**made, **written, "workflows/kid.yaml": KID, "tools/all.py": TOOLS, "policies/all.cedar": POLICY}


async def test_policy_sees_the_labels_of_the_field_that_an_argument_takes(database: Database) -> None:
    async with staged(database, files()) as stage:
        given: Mapping[str, Any] = {"text": "hello", "customer": "c-1"}
        runs = [await stage.start(given, f"desk/w{number}") for number in range(len(PAID) + len(REFUSED))]
        for source, run_id in zip((*PAID, *REFUSED), runs, strict=True):
            status, _ = await stage.ended(run_id)
            assert status == ("done" if source in PAID else "failed"), source
        looked = await stage.step(runs[0], "a")
        ended = {"result": "internal trusted"}  # how it ended rests on what it was given
        assert looked["fields"] == {"payee": "internal trusted", "file": "confidential trusted", **ended}
        assert (looked["labels"]["class"], looked["labels"]["trust"]) == ("confidential", "untrusted")
        named = (await stage.step(runs[0], "named"))["fields"], (await stage.step(runs[0], "asked"))["fields"]
        assert [one["clean"] for one in named] == ["internal trusted"] * 2
        paid = await stage.step(runs[0], "pay")
        assert paid["fields"] == ended, "nothing is said of fields that have the labels of the whole"


def test_what_is_in_a_field_and_what_is_around_it_counts() -> None:
    untrusted, trusted = Labels(trust=Trust.UNTRUSTED), Labels()
    fields = {("a",): trusted, ("a", "b"): untrusted, ("x/~y",): trusted}
    assert labels_in(untrusted, fields, ("a",)) == untrusted, "reading it reads what is in it"
    assert labels_in(untrusted, fields, ("a", "c")) == trusted
    assert labels_in(untrusted, fields, ("a", "b", "c")) == untrusted
    assert labels_in(untrusted, fields, ("other",)) == untrusted
    assert read_fields(untrusted, written_fields(untrusted, fields)) == fields
    assert written_fields(untrusted, {("a",): untrusted}) == {}
