"""Reliability diagrams as SVG: how often answers were right against how sure was said (Guo et al., ICML 2017)."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from html import escape

from signoff.capabilities.validation.precision import Bin

SIZE = 360
"""Width and height of the plane, in pixels."""
MARGIN = 48
LARGEST_DOT = 14.0
"""Radius of the dot of a bin that holds all answers, in pixels."""


def reliability_svg(before: Sequence[Bin], after: Sequence[Bin], *, title: str) -> str:
    """Both curves over the diagonal on which they should lie; a dot's area is the share of answers in its bin."""
    whole = SIZE + 2 * MARGIN
    ticks = "".join(_tick(tenth / 10) for tenth in range(0, 11, 2))
    return (
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {whole} {whole}" width="{whole}" height="{whole}"'
        ' font-family="system-ui, sans-serif" font-size="12">'
        f'<rect width="{whole}" height="{whole}" fill="#fff"/>'
        f'<text x="{whole / 2}" y="22" text-anchor="middle" font-size="15">{escape(title)}</text>{ticks}'
        f'<line x1="{_x(0)}" y1="{_y(0)}" x2="{_x(1)}" y2="{_y(1)}" stroke="#888" stroke-dasharray="4 4"/>'
        f"{_curve(before, '#c2410c')}{_curve(after, '#1d4ed8')}"
        f'<text x="{_x(0.03)}" y="{_y(0.95)}" fill="#c2410c">before calibration</text>'
        f'<text x="{_x(0.03)}" y="{_y(0.89)}" fill="#1d4ed8">after</text>'
        f'<text x="{_x(0.5)}" y="{whole - 10}" text-anchor="middle">said: confidence</text>'
        f'<text transform="translate(14 {_y(0.5)}) rotate(-90)" text-anchor="middle">so: share that was right</text>'
        "</svg>\n"
    )


def _curve(bars: Sequence[Bin], colour: str) -> str:
    total = sum(bar.count for bar in bars) or 1
    points = " ".join(f"{_x(bar.confidence):.1f},{_y(bar.accuracy):.1f}" for bar in bars)
    return f'<polyline points="{points}" fill="none" stroke="{colour}" stroke-width="2"/>' + "".join(
        _dots(bars, total, colour)
    )


def _dots(bars: Sequence[Bin], total: int, colour: str) -> Iterable[str]:
    for bar in bars:
        radius = max(2.0, LARGEST_DOT * (bar.count / total) ** 0.5)
        place = f'cx="{_x(bar.confidence):.1f}" cy="{_y(bar.accuracy):.1f}" r="{radius:.1f}"'
        told = f"{bar.count} answers: said {bar.confidence:.1%}, {bar.accuracy:.1%} right"
        yield f'<circle {place} fill="{colour}" fill-opacity="0.55"><title>{told}</title></circle>'


def _tick(value: float) -> str:
    return (
        f'<line x1="{_x(value)}" y1="{_y(0)}" x2="{_x(value)}" y2="{_y(1)}" stroke="#e5e7eb"/>'
        f'<line x1="{_x(0)}" y1="{_y(value)}" x2="{_x(1)}" y2="{_y(value)}" stroke="#e5e7eb"/>'
        f'<text x="{_x(value)}" y="{_y(0) + 16}" text-anchor="middle">{value:g}</text>'
        f'<text x="{_x(0) - 8}" y="{_y(value) + 4}" text-anchor="end">{value:g}</text>'
    )


def _x(value: float) -> float:
    return MARGIN + value * SIZE


def _y(value: float) -> float:
    return MARGIN + (1 - value) * SIZE
