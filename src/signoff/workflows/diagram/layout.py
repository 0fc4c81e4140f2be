"""Where the boxes stand: layers from top to bottom, few crossings, little slack.

Sugiyama, Tagawa and Toda, "Methods for Visual Understanding of Hierarchical System Structures" (IEEE SMC 11, 1981):
layers by longest path, places for edges that pass a layer, order by barycentres, then coordinates by averaging.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from itertools import pairwise

SWEEPS = 12
"""How often the order within layers is improved."""

PASSAGE = 10
"""The width that is kept free for an edge that passes a layer, in pixels."""

SETTLING = 16
"""How often places are pulled towards their neighbours."""


@dataclass(frozen=True, slots=True)
class Size:
    """Of a box, in pixels."""

    width: float
    height: float


@dataclass(slots=True)
class Placed:
    """A layout.

    Attributes:
        at: the left upper corner of each box.
        bends: for each edge, by its place in the list: the points that it passes between its boxes. It turns between
            layers only: past the boxes of a layer, high ones too, it goes straight down.
        ends: for each edge: how far down the layer of its first box reaches, and where that of its last begins.
    """

    width: float
    height: float
    at: dict[str, tuple[float, float]] = field(default_factory=dict[str, tuple[float, float]])
    bends: dict[int, list[tuple[float, float]]] = field(default_factory=dict[int, list[tuple[float, float]]])
    ends: dict[int, tuple[float, float]] = field(default_factory=dict[int, tuple[float, float]])


def layers_of(names: Sequence[str], edges: Sequence[tuple[str, str]], last: frozenset[str]) -> dict[str, int]:
    """The layer of each box: behind all that it depends on; what stands at the end shares the last layer."""
    before: dict[str, list[str]] = {name: [] for name in names}
    for source, target in edges:
        before[target].append(source)
    found: dict[str, int] = {}
    waiting = list(names)
    while waiting:
        ready = [name for name in waiting if all(one in found for one in before[name])] or waiting[:1]
        for name in ready:
            found[name] = 1 + max((found.get(one, -1) for one in before[name]), default=-1)
        waiting = [name for name in waiting if name not in found]
    bottom = max((layer for name, layer in found.items() if name not in last), default=-1) + 1
    return {name: bottom if name in last else layer for name, layer in found.items()}


def place(
    sizes: Mapping[str, Size],
    edges: Sequence[tuple[str, str]],
    *,
    last: frozenset[str] = frozenset(),
    gap: float = 22,
    between: float = 46,
) -> Placed:
    """Lay boxes out.

    Args:
        sizes: of each box, in reading order.
        edges: from what is depended on to what depends.
        last: boxes of the last layer.
        gap: between neighbours, in pixels.
        between: between layers, in pixels.
    """
    return _Layout(sizes, edges, last, gap, between).placed()


class _Layout:
    def __init__(
        self,
        sizes: Mapping[str, Size],
        edges: Sequence[tuple[str, str]],
        last: frozenset[str],
        gap: float,
        between: float,
    ) -> None:
        self._sizes: dict[str, Size] = dict(sizes)
        self._gap, self._between = gap, between
        self._layer = layers_of(list(sizes), edges, last)
        self._chains: list[list[str]] = []
        self._links: list[tuple[str, str]] = []
        for number, (source, target) in enumerate(edges):
            chain = [source]
            for layer in range(self._layer[source] + 1, self._layer[target]):
                name = f"\0{number}/{layer}"
                self._sizes[name] = Size(PASSAGE, 0)
                self._layer[name] = layer
                chain.append(name)
            chain.append(target)
            self._chains.append(chain)
            self._links += list(pairwise(chain))
        count = 1 + max(self._layer.values(), default=0)
        self._rows: list[list[str]] = [[] for _ in range(count)]
        for name in self._sizes:
            self._rows[self._layer[name]].append(name)
        self._above: dict[str, list[str]] = {name: [] for name in self._sizes}
        self._below: dict[str, list[str]] = {name: [] for name in self._sizes}
        for source, target in self._links:
            self._above[target].append(source)
            self._below[source].append(target)

    def placed(self) -> Placed:
        self._order()
        centre = self._columns()
        top, result = 0.0, Placed(0, 0)
        bands: list[tuple[float, float]] = []
        for row in self._rows:
            height = max((self._sizes[name].height for name in row), default=0)
            bands.append((top, top + height))
            for name in row:
                size = self._sizes[name]
                result.at[name] = (centre[name] - size.width / 2, top + (height - size.height) / 2)
            top += height + self._between
        left = min((x for x, _ in result.at.values()), default=0)
        result.at = {name: (x - left, y) for name, (x, y) in result.at.items()}
        result.width = max((x + self._sizes[name].width for name, (x, _) in result.at.items()), default=0)
        result.height = max(top - self._between, 0)
        for number, chain in enumerate(self._chains):
            passed = [(result.at[name][0] + PASSAGE / 2, y) for name in chain[1:-1] for y in bands[self._layer[name]]]
            result.bends[number] = passed
            result.ends[number] = (bands[self._layer[chain[0]]][1], bands[self._layer[chain[-1]]][0])
        return result

    # --- order within layers ----------------------------------------------------------------------------------------

    def _order(self) -> None:
        best, fewest = [list(row) for row in self._rows], self._crossings()
        for sweep in range(SWEEPS):
            down = sweep % 2 == 0
            rows = self._rows if down else list(reversed(self._rows))
            neighbours = self._above if down else self._below
            for at in range(1, len(rows)):
                place_of = {name: number for number, name in enumerate(rows[at - 1])}
                pull = {
                    name: self._barycentre(name, neighbours, place_of, number) for number, name in enumerate(rows[at])
                }
                rows[at].sort(key=pull.__getitem__)
            crossings = self._crossings()
            if crossings < fewest:
                best, fewest = [list(row) for row in self._rows], crossings
        self._rows = best

    @staticmethod
    def _barycentre(
        name: str, neighbours: Mapping[str, list[str]], place_of: Mapping[str, int], otherwise: int
    ) -> float:
        near = [place_of[one] for one in neighbours[name] if one in place_of]
        return sum(near) / len(near) if near else otherwise

    def _crossings(self) -> int:
        order = {name: at for row in self._rows for at, name in enumerate(row)}
        count = 0
        for layer in range(len(self._rows) - 1):
            pairs = sorted(
                (order[source], order[target]) for source, target in self._links if self._layer[source] == layer
            )
            for at, (_, first) in enumerate(pairs):
                count += sum(second < first for _, second in pairs[at + 1 :])
        return count

    # --- coordinates ------------------------------------------------------------------------------------------------

    def _columns(self) -> dict[str, float]:
        """The centre of each box: side by side at first, then pulled towards neighbours as far as there is room."""
        centre: dict[str, float] = {}
        for row in self._rows:
            width = sum(self._sizes[name].width for name in row) + self._gap * (len(row) - 1)
            at = -width / 2
            for name in row:
                centre[name] = at + self._sizes[name].width / 2
                at += self._sizes[name].width + self._gap
        for turn in range(SETTLING):
            rows = self._rows if turn % 2 == 0 else list(reversed(self._rows))
            for row in rows:
                wanted = {
                    name: self._wanted(name, centre, both=turn >= SETTLING // 2, down=turn % 2 == 0) for name in row
                }
                self._pull(row, wanted, centre)
        return centre

    def _wanted(self, name: str, centre: Mapping[str, float], *, both: bool, down: bool) -> float:
        near = [*self._above[name], *self._below[name]] if both else (self._above if down else self._below)[name]
        return sum(centre[one] for one in near) / len(near) if near else centre[name]

    def _pull(self, row: Sequence[str], wanted: Mapping[str, float], centre: dict[str, float]) -> None:
        """Places as near as they can be to those that are wanted, in order and without overlap.

        Pool adjacent violators (isotonic regression) on places less the room that is needed before each.
        """
        offsets: list[float] = []
        needed = 0.0
        for at, name in enumerate(row):
            if at:
                needed += (self._sizes[row[at - 1]].width + self._sizes[name].width) / 2 + self._gap
            offsets.append(needed)
        pools: list[tuple[float, float, int]] = []
        for at, name in enumerate(row):
            weight = 4.0 if name.startswith("\0") else 1.0
            total, mass, count = (wanted[name] - offsets[at]) * weight, weight, 1
            while pools and pools[-1][0] / pools[-1][1] > total / mass:
                before = pools.pop()
                total, mass, count = total + before[0], mass + before[1], count + before[2]
            pools.append((total, mass, count))
        at = 0
        for total, mass, count in pools:
            for _ in range(count):
                centre[row[at]] = total / mass + offsets[at]
                at += 1
