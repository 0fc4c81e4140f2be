"""Pictures of workflows: every step and reference is in it, no two boxes overlap, texts cannot break out."""

from __future__ import annotations

import xml.etree.ElementTree as ET
from pathlib import Path

import pytest

from signoff.catalog import load_project
from signoff.catalog.flow import project_flow
from signoff.workflows import Contracts, compile_workflow
from signoff.workflows.diagram import Box, Diagram, Edge, diagram_of, mermaid, svg
from signoff.workflows.diagram.layout import Size, layers_of, place
from signoff.workflows.flow import Surroundings
from signoff.workflows.flow.analysis import analyse

REFUNDS = Path(__file__).parents[2] / "examples/refunds"
SVG = "{http://www.w3.org/2000/svg}"


@pytest.fixture(scope="module")
def refund() -> Diagram:
    project = load_project(REFUNDS)
    effects = frozenset(tool.name for tool in project.tools.values() if tool.effect)
    return diagram_of(project.workflows["support/refund"], effects, project_flow(project).results["support/refund"])


def test_every_step_is_a_box_with_its_kind_and_trust(refund: Diagram) -> None:
    boxes = {box.id: box for box in refund.boxes}
    assert {box.title for box in refund.boxes if box.kind == "outcome"} >= {"refunded", "rejected"}
    assert (boxes["refund"].kind, boxes["refund"].undo) == ("effect", "payments.reverse")
    assert (boxes["decision"].kind, boxes["triage"].taint, boxes["notify"].taint) == ("review", "untrusted", "trusted")


def test_edges_say_what_is_required_read_and_asked(refund: Diagram) -> None:
    kinds = {(edge.source, edge.target): (edge.kind, edge.taint) for edge in refund.edges}
    assert kinds["decision", "refund"] == ("requires", "confined")
    assert kinds["input", "triage"] == ("data", "untrusted")
    assert kinds["triage", "facts"][0] == "control"
    assert kinds["order", "→declined"][0] == "outcome"


def test_what_an_end_gives_is_read_from_where_it_comes() -> None:
    text = """\
workflow: a
version: 1.0.0
input: {type: object, properties: {text: {type: string}, cents: {type: integer}}, required: [text, cents]}
steps:
  one: {set: {n: 1}}
  two: {set: {n: "${input.text}"}}
outcome:
  fine: {when: one.done && two.done, give: {n: "${two.n}", text: "${input.text}"}}
  other: {when: 'true', give: {n: "${one.n}"}}
"""
    workflow = compile_workflow(text, "a.yaml", Contracts())
    drawn = diagram_of(workflow, flow=analyse(workflow, Surroundings()))
    ends = {(edge.source, edge.target): (edge.kind, edge.taint) for edge in drawn.edges if edge.target[0] == "→"}
    assert ends == {
        ("input", "→fine"): ("data", "untrusted"),
        ("two", "→fine"): ("data", "untrusted"),
        ("one", "→fine"): ("outcome", "trusted"),
        ("one", "→other"): ("data", "trusted"),
        ("two", "→other"): ("outcome", "trusted"),
    }


def test_the_svg_is_one_document_that_names_every_step(refund: Diagram) -> None:
    document = ET.fromstring(svg(refund))
    texts = {element.text for element in document.iter(f"{SVG}text")}
    assert texts >= {box.title for box in refund.boxes}
    assert "prefers-color-scheme:dark" in svg(refund)
    assert float(document.attrib["width"]) < 1300


def test_the_mermaid_names_every_step_and_edge(refund: Diagram) -> None:
    text = mermaid(refund)
    assert text.startswith("flowchart TB\n")
    assert "s_decision ==> s_refund" in text
    assert all(f"{box.title}" in text for box in refund.boxes)


def test_texts_are_data_in_both() -> None:
    box = Box("a", 'a"<b>&', "tool", ("</text><script>", "#quot; x"))
    drawn = Diagram("<t>", (box,), ())
    document = ET.fromstring(svg(drawn))
    assert not list(document.iter(f"{SVG}script"))
    assert '"<' not in mermaid(drawn).replace('["', "").replace('"]', "")


def test_no_two_boxes_overlap_and_edges_go_down() -> None:
    names = [f"n{at}" for at in range(14)]
    edges = [(names[at // 3], names[at]) for at in range(1, 14)] + [("n0", "n13"), ("n1", "n12")]
    sizes = {name: Size(60 + 17 * (at % 5), 30 + 11 * (at % 3)) for at, name in enumerate(names)}
    placed = place(sizes, edges)
    for at, one in enumerate(names):
        for other in names[at + 1 :]:
            (x, y), (ox, oy) = placed.at[one], placed.at[other]
            apart = x + sizes[one].width <= ox or ox + sizes[other].width <= x
            assert apart or y + sizes[one].height <= oy or oy + sizes[other].height <= y
    assert all(placed.at[source][1] < placed.at[target][1] for source, target in edges)


def test_ends_stand_in_the_last_layer() -> None:
    layers = layers_of(["a", "b", "end"], [("a", "b"), ("a", "end")], frozenset({"end"}))
    assert layers == {"a": 0, "b": 1, "end": 2}


def test_a_group_holds_its_steps() -> None:
    inside = Diagram("", (Box("g/x", "x", "set"),), ())
    text = svg(
        Diagram(
            "t", (Box("input", "input", "input"), Box("g", "g", "for", inside=inside)), (Edge("input", "g", "data"),)
        )
    )
    assert text.count("<rect") >= 4
    assert "subgraph s_g" in mermaid(Diagram("t", (Box("g", "g", "for", inside=inside),), ()))


def test_edges_pass_beside_high_boxes_and_never_under_them() -> None:
    sizes = {"a": Size(100, 40), "high": Size(200, 300), "low": Size(80, 40), "b": Size(100, 40)}
    edges = [("a", "high"), ("a", "low"), ("low", "b"), ("high", "b"), ("a", "b")]
    placed = place(sizes, edges)
    left, top = placed.at["high"]
    bottom = top + sizes["high"].height
    for number, (source, target) in enumerate(edges):
        below, above = placed.ends[number]
        if "low" in (source, target):  # it turns only where the layer of the high box is over, or has not begun
            assert (below if source == "low" else above) == (bottom if source == "low" else top)
        for x, y in placed.bends[number]:
            assert y in (top, bottom)
            assert not left <= x <= left + sizes["high"].width
