"""A picture as Mermaid, for pages that draw it themselves (https://mermaid.js.org/syntax/flowchart.html)."""

from __future__ import annotations

from collections.abc import Iterator

from signoff.workflows.diagram.graph import Box, Diagram, Edge

_SHAPES = {
    "input": ("([", "])"),
    "outcome": ("([", "])"),
    "review": ("{{", "}}"),
    "effect": ("[[", "]]"),
    "ai": ("(", ")"),
    "emit": (">", "]"),
}
_ARROWS = {"data": "-->", "requires": "==>", "control": "-.->", "after": "-.->", "outcome": "-->"}


def mermaid(diagram: Diagram) -> str:
    """The text of a flowchart, from top to bottom."""
    lines = ["flowchart TB", *_boxes(diagram, "  ")]
    lines += [f"  {_id(a.source)} {_ARROWS[a.kind]} {_id(a.target)}" for a in _edges(diagram)]
    lines += [
        "  classDef untrusted stroke:#c2410c,stroke-width:2px",
        "  classDef confined stroke:#a16207,stroke-width:2px,stroke-dasharray:4 3",
        "  classDef trusted stroke:#15803d,stroke-width:2px",
    ]
    for taint in ("untrusted", "confined", "trusted"):
        names = [_id(box.id) for box in _all(diagram) if box.taint == taint and box.kind not in ("input", "outcome")]
        if names:
            lines.append(f"  class {','.join(names)} {taint}")
    return "\n".join(lines) + "\n"


def _boxes(diagram: Diagram, indent: str) -> Iterator[str]:
    for box in diagram.boxes:
        if box.inside is not None:
            yield f'{indent}subgraph {_id(box.id)}["{_label(box)}"]'
            yield from _boxes(box.inside, f"{indent}  ")
            yield f"{indent}end"
            continue
        left, right = _SHAPES.get(box.kind, ("[", "]"))
        yield f'{indent}{_id(box.id)}{left}"{_label(box)}"{right}'


def _label(box: Box) -> str:
    kind = "" if box.kind in ("input", "outcome") else f" · {box.kind}"
    undo = (f"undone by {box.undo}",) if box.undo else ()
    return "<br/>".join(_text(line) for line in (f"{box.title}{kind}", *box.lines, *undo))


def _text(text: str) -> str:
    """A text in quotes: Mermaid takes entity codes for what has a meaning to it."""
    for character, code in (("#", "#35;"), ("&", "#amp;"), ('"', "#quot;"), ("<", "#lt;"), (">", "#gt;")):
        text = text.replace(character, code)
    return text


def _id(name: str) -> str:
    return f"s_{name.replace('/', '__').replace('→', 'end_')}"


def _all(diagram: Diagram) -> Iterator[Box]:
    for box in diagram.boxes:
        yield box
        if box.inside is not None:
            yield from _all(box.inside)


def _edges(diagram: Diagram) -> Iterator[Edge]:
    yield from diagram.edges
    for box in diagram.boxes:
        if box.inside is not None:
            yield from _edges(box.inside)
