"""A picture as SVG: self-contained, light and dark by the reader's setting, legible on a page."""

from __future__ import annotations

import textwrap
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from html import escape

from signoff.core.labels import DataClass
from signoff.workflows.diagram.graph import KINDS, Box, Diagram, Edge
from signoff.workflows.diagram.layout import Placed, Size, place

MARGIN = 24
PADDING = 12
TITLE_HEIGHT = 20
LINE_HEIGHT = 15
LEGEND_WIDTH = 690
TEXT_WIDTH = 6.55
TITLE_WIDTH = 8.6
MINIMUM_WIDTH = 118
MAXIMUM_WIDTH = 236

# By name, for a light and a dark page. Written out at each place: many viewers know no custom properties of CSS, and
# would paint everything black.
_PALETTE = {
    "paper": ("#ffffff", "#10151c"),
    "ink": ("#17212f", "#e7edf4"),
    "soft": ("#5b6675", "#9aa7b6"),
    "line": ("#8b97a7", "#66748a"),
    "box": ("#f7f9fb", "#1a222d"),
    "ai": ("#6d4bd1", "#a78bfa"),
    "tool": ("#0b7285", "#4fc3d9"),
    "effect": ("#b42318", "#ff8a7a"),
    "review": ("#b76e00", "#f5b94d"),
    "other": ("#475467", "#aab6c4"),
    "end": ("#17212e", "#e7edf5"),
    "trusted": ("#2f9e44", "#69db7c"),
    "confined": ("#c98a00", "#ffd43b"),
    "untrusted": ("#d9480f", "#ff922b"),
}
_SHAPES = """
.d text{font-family:system-ui,-apple-system,'Segoe UI',Roboto,'DejaVu Sans',sans-serif}
.d .t{font-size:14px;font-weight:650}.d .k{font-size:10px;font-weight:600;letter-spacing:.05em}
.d .l{font-size:11.5px}.d .h{font-size:17px;font-weight:700}.d .a{font-size:12px}
.d .e{fill:none;stroke-width:1.4}.d .requires{stroke-width:2.6}
.d .control{stroke-dasharray:5 4}.d .after{stroke-dasharray:1.5 4}.d .outcome{stroke-dasharray:2 3;opacity:.65}
"""
_PAINT = """
.d text{fill:var(--ink)}.d .l,.d .a{fill:var(--soft)}.d .e{stroke:var(--line)}
.d .e.confined{stroke:var(--confined)}.d .e.untrusted{stroke:var(--untrusted)}
.d .k.ai{fill:var(--ai)}.d .k.tool{fill:var(--tool)}.d .k.effect{fill:var(--effect)}.d .k.review{fill:var(--review)}
.d .k.other{fill:var(--other)}
"""
_COLOURS = {
    "ai": "ai",
    "agent": "ai",
    "plan": "ai",
    "tool": "tool",
    "retrieve": "tool",
    "effect": "effect",
    "emit": "effect",
    "review": "review",
}


@dataclass(slots=True)
class _Drawing:
    """A diagram that was laid out: its size, and the sizes and places of its boxes."""

    diagram: Diagram
    placed: Placed
    sizes: Mapping[str, Size]
    inside: dict[str, _Drawing] = field(default_factory=dict[str, "_Drawing"])


def svg(diagram: Diagram) -> str:
    """The document. Its colours follow the reader's light or dark setting."""
    drawing = _laid_out(diagram)
    head = 64 if diagram.about else 44
    legend = _legend()
    width = max(drawing.placed.width, LEGEND_WIDTH) + 2 * MARGIN
    height = drawing.placed.height + head + 62 + 2 * MARGIN
    left = MARGIN + (width - 2 * MARGIN - drawing.placed.width) / 2
    parts = [
        _opening(width, height, diagram.title),
        f"<title>{escape(diagram.title)}</title>",
        f"<style>{_style()}</style>",
        _markers(),
        f'<rect width="{width:.0f}" height="{height:.0f}" fill="var(--paper)"/>',
        f'<text class="h" x="{MARGIN}" y="{MARGIN + 16}">{escape(diagram.title)}</text>',
        f'<text class="a" x="{MARGIN}" y="{MARGIN + 37}">{escape(_fitting(diagram.about, width - 2 * MARGIN))}</text>',
        _drawn(drawing, left, MARGIN + head),
        f'<g transform="translate({MARGIN},{height - MARGIN - 34})">{legend}</g>',
        "</svg>",
    ]
    return _painted("\n".join(part for part in parts if part)) + "\n"


def _style() -> str:
    """What is the same in both, what is painted light, and the same painted dark: attributes too, by their values."""
    attributes = "".join(
        f'.d [fill="{light}"]{{fill:{dark}}}.d [stroke="{light}"]{{stroke:{dark}}}' for light, dark in _PALETTE.values()
    )
    dark = _painted(_PAINT, dark=True)
    return f"{_SHAPES}{_painted(_PAINT)}@media (prefers-color-scheme:dark){{{dark}{attributes}}}\n"


def _painted(text: str, *, dark: bool = False) -> str:
    for name, colours in _PALETTE.items():
        text = text.replace(f"var(--{name})", colours[dark])
    return text


def _opening(width: float, height: float, title: str) -> str:
    size = f'viewBox="0 0 {width:.0f} {height:.0f}" width="{width:.0f}" height="{height:.0f}"'
    return f'<svg xmlns="http://www.w3.org/2000/svg" class="d" {size} role="img" aria-label="{escape(title)}">'


def _fitting(text: str, width: float) -> str:
    most = int(width / 6.1)
    return text if len(text) <= most else f"{text[: most - 1]}…"


def _laid_out(diagram: Diagram) -> _Drawing:
    inside = {box.id: _laid_out(box.inside) for box in diagram.boxes if box.inside is not None}
    sizes = {box.id: _size(box, inside.get(box.id)) for box in diagram.boxes}
    last = frozenset(box.id for box in diagram.boxes if box.kind == "outcome")
    edges = [(edge.source, edge.target) for edge in diagram.edges]
    return _Drawing(diagram, place(sizes, edges, last=last), sizes, inside)


def _size(box: Box, inside: _Drawing | None) -> Size:
    widest = max((len(line) * TEXT_WIDTH for line in _said(box)), default=0)
    head = len(box.title) * TITLE_WIDTH + len(_kind(box)) * 7.6 + 40
    width = min(max(MINIMUM_WIDTH, widest + 2 * PADDING, head + 2 * PADDING), MAXIMUM_WIDTH)
    height = PADDING + TITLE_HEIGHT + len(_said(box)) * LINE_HEIGHT + PADDING - 4
    if inside is not None:
        width = max(width, inside.placed.width + 2 * PADDING + 8)
        height += inside.placed.height + 2 * PADDING
    return Size(width, height)


def _said(box: Box) -> tuple[str, ...]:
    undo = (f"↶ undone by {box.undo}",) if box.undo else ()
    most = int((MAXIMUM_WIDTH - 2 * PADDING - 4) / TEXT_WIDTH)
    return tuple(part for line in (*box.lines, *undo) for part in _wrapped(line, most))


def _wrapped(line: str, most: int) -> list[str]:
    """A line in at most two; what does not fit is left out."""
    first, *rest = textwrap.wrap(line, most, subsequent_indent="  ") or [""]
    if len(rest) > 1:
        rest = [f"{rest[0][: most - 1]}…"]
    return [first, *rest]


def _kind(box: Box) -> str:
    return {"effect": "EFFECT", "input": "START", "outcome": "END"}.get(box.kind, KINDS.get(box.kind, box.kind).upper())


def _drawn(drawing: _Drawing, left: float, top: float) -> str:
    parts: list[str] = []
    for number, edge in enumerate(drawing.diagram.edges):
        parts.append(_edge(drawing, number, edge, left, top))
    for box in drawing.diagram.boxes:
        x, y = drawing.placed.at[box.id]
        parts.append(_box(box, left + x, top + y, drawing))
    return "\n".join(parts)


def _box(box: Box, x: float, y: float, drawing: _Drawing) -> str:
    size = drawing.sizes[box.id]
    name = _COLOURS.get(box.kind, "end" if box.kind in ("input", "outcome") else "other")
    colour = f"var(--{name})"
    round_ends = box.kind in ("input", "outcome")
    radius = min(size.height / 2, 22) if round_ends else 8
    frame = f'x="{x:.1f}" y="{y:.1f}" width="{size.width:.1f}" height="{size.height:.1f}" rx="{radius:.0f}"'
    thick = 2.2 if box.kind == "effect" else 1.4
    parts = [f'<rect {frame} fill="var(--box)" stroke="{colour}" stroke-width="{thick}"/>']
    if not round_ends:
        bar = f"M{x + 8:.1f} {y:.1f}h-.5a7.5 7.5 0 0 0 -7.5 7.5v{size.height - 15:.1f}a7.5 7.5 0 0 0 7.5 7.5h.5z"
        parts.append(f'<path d="{bar}" fill="{colour}"/>')
    baseline = y + PADDING + 11
    start = x + PADDING + (4 if not round_ends else 6)
    parts.append(f'<text class="t" x="{start:.1f}" y="{baseline:.1f}">{escape(box.title)}</text>')
    end = x + size.width - PADDING - (14 if not round_ends else 2)
    parts.append(f'<text class="k {name}" x="{end:.1f}" y="{baseline - 0.5:.1f}" text-anchor="end">{_kind(box)}</text>')
    if not round_ends:
        parts.append(_labels(box, x + size.width - PADDING + 1, baseline - 4))
    for number, line in enumerate(_said(box)):
        at = baseline + 4 + LINE_HEIGHT * (number + 1)
        parts.append(f'<text class="l" x="{start:.1f}" y="{at:.1f}">{escape(line)}</text>')
    inner = drawing.inside.get(box.id)
    if inner is not None:
        below = y + size.height - inner.placed.height - PADDING
        parts.append(_drawn(inner, x + (size.width - inner.placed.width) / 2 + 3, below))
    return "\n".join(parts)


def _labels(box: Box, x: float, y: float) -> str:
    """A dot in the colour of the trust; a square around it for data that is more than internal."""
    dot = f'<circle cx="{x:.1f}" cy="{y:.1f}" r="4" fill="var(--{box.taint})"><title>{box.taint}</title></circle>'
    if box.data_class <= DataClass.INTERNAL:
        return dot
    word = box.data_class.name.lower()
    return (
        f'{dot}<rect x="{x - 6.5:.1f}" y="{y - 6.5:.1f}" width="13" height="13" rx="2" fill="none"'
        f' stroke="var(--effect)" stroke-width="1.3"><title>{word}</title></rect>'
    )


def _edge(drawing: _Drawing, number: int, edge: Edge, left: float, top: float) -> str:
    start, end = drawing.sizes[edge.source], drawing.sizes[edge.target]
    sx, sy = drawing.placed.at[edge.source]
    ex, ey = drawing.placed.at[edge.target]
    target = (left + ex + end.width / 2, top + ey - 2)
    bends = [(left + x, top + y) for x, y in drawing.placed.bends[number]]
    first = bends[0] if bends else target
    final = bends[-1] if bends else (left + sx + start.width / 2, top + sy)
    # An edge leaves and enters where it comes from, so that several do not share one point.
    out = (_near(left + sx, start.width, first[0]), top + sy + start.height)
    into = (_near(left + ex, end.width, final[0]), target[1])
    below, above = (top + y for y in drawing.placed.ends[number])
    points = [out, (out[0], max(out[1], below)), *bends, (into[0], min(into[1], above - 2)), into]
    return f'<path class="e {edge.kind} {edge.taint}" d="{_curve(points)}" marker-end="url(#{edge.taint})"/>'


def _near(left: float, width: float, towards: float) -> float:
    """The point of a side that is nearest to where an edge goes, drawn to the middle."""
    middle = left + width / 2
    reach = width / 2 - 16
    return middle + max(-reach, min(reach, (towards - middle) * 0.35))


def _curve(points: Sequence[tuple[float, float]]) -> str:
    """A smooth line downwards through points: vertical tangents at each."""
    x, y = points[0]
    text = f"M{x:.1f} {y:.1f}"
    for nx, ny in points[1:]:
        if (nx, ny) == (x, y):
            continue
        half = (ny - y) / 2
        text += f"C{x:.1f} {y + half:.1f} {nx:.1f} {ny - half:.1f} {nx:.1f} {ny:.1f}"
        x, y = nx, ny
    return text


def _markers() -> str:
    made = [
        f'<marker id="{name}" viewBox="0 0 8 8" refX="6.5" refY="4" markerWidth="8" markerHeight="8"'
        f' markerUnits="userSpaceOnUse" orient="auto"><path d="M0 .6L7 4L0 7.4z" fill="var(--{colour})"/></marker>'
        for name, colour in (("trusted", "line"), ("confined", "confined"), ("untrusted", "untrusted"))
    ]
    return f"<defs>{''.join(made)}</defs>"


def _legend() -> str:
    parts: list[str] = []
    x = 0.0
    for name, what in (("requires", "requires"), ("data", "reads"), ("control", "asks"), ("outcome", "ends")):
        parts.append(f'<path class="e {name}" d="M{x:.0f} 6h26"/><text class="l" x="{x + 32:.0f}" y="10">{what}</text>')
        x += 44 + len(what) * 6.4
    x += 14
    for taint in ("trusted", "confined", "untrusted"):
        dot = f'<circle cx="{x:.0f}" cy="6" r="4" fill="var(--{taint})"/>'
        parts.append(f'{dot}<text class="l" x="{x + 9:.0f}" y="10">{taint}</text>')
        x += 26 + len(taint) * 6.4
    square = f'<rect x="{x:.0f}" y="-.5" width="13" height="13" rx="2" fill="none" stroke="var(--effect)"/>'
    parts.append(f'{square}<text class="l" x="{x + 19:.0f}" y="10">more than internal</text>')
    return "".join(parts)
