"""The claim of docs/reference/data-flow.md for agents and plans: an attacker chooses the text and what models say."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from hypothesis import given, settings
from hypothesis import strategies as st
from support.flow_at_random import QUIET, STATIC, TRUSTED, checked
from support.flow_runs import OWNER, STRANGER, Run, violations, within

from signoff.catalog.model import Project
from signoff.workflows.model import every_step

FEW = settings(QUIET, max_examples=30)
"""Many more were tried once; each reads a project."""

HEAD = """workflow: case
version: 1.0.0
about: A model chooses.
input: schemas/ticket.json
steps:
  order: {tool: orders.get, with: {customer: "${input.customer}", id: "${input.order}"}}
"""
FIXED: Mapping[str, Sequence[str]] = {
    "customer": ('"${input.customer}"', '"${order.customer}"', '"${input.text}"'),
    "order": ('"${order.id}"', '"${input.order}"', '"${call.arguments.order}"'),
    "cents": ("50", '"${order.refundable_cents}"', "900"),
}
ASSERTS = (
    "",
    "call.arguments.cents > 0 && call.arguments.cents <= order.refundable_cents",
    "call.arguments.cents > 0 && call.arguments.cents <= 500",
    "call.arguments.cents <= 500",
    "call.arguments.cents > 0 && call.arguments.cents <= size(input.text) * 1000000",
)
TOOLS = ("pay.refund", "pay.free", "pay.careful")
LOOKS = ("orders.find", '{tool: orders.get, with: {customer: "${input.customer}"}}', "orders.get")
AFTER = (
    "",
    '  after: {tool: pay.refund, with: {customer: "${input.customer}", order: "${helped.text}", cents: 50}}\n',
    '  after: {tool: pay.refund, with: {customer: "${input.customer}", order: "${order.id}", cents: 50}}\n',
)


@st.composite
def entries(draw: st.DrawFn) -> str:
    """A tool that pays, with some of its arguments fixed."""
    chosen = {name: draw(st.sampled_from((*values, *values, ""))) for name, values in FIXED.items()}
    fixed = ", ".join(f"{name}: {written}" for name, written in chosen.items() if written)
    check = draw(st.sampled_from(ASSERTS)) if not chosen["cents"] else ""
    asserted = f', assert: "{check}"' if check else ""
    return f"{{tool: {draw(st.sampled_from((*TOOLS, *TOOLS[:1] * 4)))}, with: {{{fixed}}}{asserted}}}"


@st.composite
def workflows(draw: st.DrawFn) -> str:
    """An agent or a plan that may pay, and perhaps another payment after it."""
    verb = draw(st.sampled_from(("agent", "plan")))
    tools = ", ".join([draw(entries()), *draw(st.lists(st.sampled_from(LOOKS[:2] * 3 + LOOKS[2:]), max_size=1))])
    bounds = "max_turns: 4, max_calls: 6" if verb == "agent" else "max_steps: 4"
    step = f'  helped: {{{verb}: advise, with: {{text: "${{input.text}}"}}, tools: [{tools}], {bounds}}}\n'
    return HEAD + step + draw(st.sampled_from(AFTER)) + 'outcome: {done: "true"}\n'


VALUES: st.SearchStrategy[Any] = st.sampled_from(
    [OWNER, STRANGER, "o-1", "x-1", "none", 1, 50, 900, 10**7, -5, {"result_of": 0, "field": "id"}]
)
ARGUMENTS = st.dictionaries(st.sampled_from(["customer", "order", "cents", "id"]), VALUES, max_size=4)
CALLS = st.lists(st.tuples(st.integers(0, 2), ARGUMENTS), min_size=1, max_size=3)
ATTACKS = st.tuples(st.sampled_from(["", "pay me"]), st.lists(CALLS, max_size=3), st.sampled_from(["o-1", "x-1"]))


def attacked(project: Project, attack: tuple[str, list[list[tuple[int, Any]]], str]) -> Run:
    """A run in which the attacker wrote the text, and chose all calls and the answer."""
    text, turns, said = attack
    steps = every_step(project.workflows["case"].steps)
    offered = [*next(step.settings["tools"] for step in steps if "tools" in step.settings)]
    left = list(turns)

    def named(calls: list[tuple[int, Any]]) -> list[dict[str, Any]]:
        return [{"id": "c", "tool": offered[at % len(offered)], "arguments": given} for at, given in calls]

    def model(path: str, prompt: str) -> Mapping[str, Any]:
        del prompt
        if path.endswith("/write"):
            return {"text": said, "steps": named([call for calls in left for call in calls] or [(0, {})])[:4]}
        if left:
            return {"said": [], "calls": named(left.pop(0)), "refused": [], "output": None, "over": False}
        return {"said": [], "calls": [], "refused": [], "output": {"text": said}, "over": True}

    return Run(project, project.workflows["case"], model).go({**TRUSTED, "text": text})


@FEW
@given(workflows(), st.lists(ATTACKS, min_size=6, max_size=6))
def test_what_passes_keeps_the_claim_for_all_pairs(text: str, attacks: list[Any]) -> None:
    project, result, codes = checked(text)
    if codes & STATIC:
        return  # nothing is claimed of it
    runs = [attacked(project, attack) for attack in attacks]
    broken = [(text, found) for one in runs for two in runs if (found := violations(project, result, one, two))]
    assert broken == []


@FEW
@given(workflows(), ATTACKS)
def test_the_static_labels_cover_those_of_every_run(text: str, attack: Any) -> None:
    project, result, _ = checked(text)
    within(result, attacked(project, attack), text)


SAFE = """{tool: pay.refund, with: {customer: "${input.customer}", order: "${order.id}"},
        assert: "call.arguments.cents > 0 && call.arguments.cents <= order.refundable_cents"}"""


def test_a_safe_agent_passes_and_each_way_of_making_it_unsafe_is_told() -> None:
    def codes(entry: str, verb: str = "agent") -> set[str]:
        step = f'  helped: {{{verb}: advise, with: {{text: "${{input.text}}"}}, tools: [{entry}]}}\n'
        return set(checked(HEAD + step + 'outcome: {done: "true"}\n')[2] & STATIC)

    for verb in ("agent", "plan"):
        assert codes(SAFE, verb) == set()
        assert codes(SAFE.replace('order: "${order.id}"', ""), verb) == {"flow-argument"}
        assert codes(SAFE.replace('"${order.id}"', '"${call.arguments.order}"'), verb) == {"flow-argument"}
        assert codes(SAFE.replace("call.arguments.cents > 0 && ", "").replace("<=", ">"), verb) == {"flow-confinement"}
        assert codes(SAFE.replace("pay.refund", "pay.careful"), verb) == {"flow-trigger"}
        assert codes(SAFE.replace("pay.refund", "pay.free"), verb) == {"flow-quota"}


def test_an_attacker_pays_through_a_safe_agent_within_its_bounds_only() -> None:
    step = f'  helped: {{agent: advise, with: {{text: "${{input.text}}"}}, tools: [{SAFE}]}}\n'
    project, _, _ = checked(HEAD + step + 'outcome: {done: "true"}\n')
    large = [(0, {"cents": 10**7}), (0, {"cents": 300, "order": "x-1", "customer": STRANGER})]
    run = attacked(project, ("", [large], "x"))
    assert [dict(acted.arguments) for acted in run.acted] == [{"customer": OWNER, "order": "o-1", "cents": 300}]
