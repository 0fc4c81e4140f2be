"""What the analysis finds fault with, each with the path that the data takes."""

from __future__ import annotations

from collections.abc import Iterable

from signoff.core.values import value
from signoff.workflows.flow.model import Flow, Hop


@value
class Finding:
    """Something that the analysis cannot vouch for.

    Attributes:
        code: which kind: `flow-argument`, `flow-confinement`, `flow-quota`, `flow-trigger`, `flow-review`,
            `flow-unseen`, `flow-class`, `flow-never`.
        step: the path of the step.
        line: of the step in the document, from 1.
        detail: one sentence, without the path.
        word: what to look for in the document from that line on, for the column.
        path: where the data comes from and goes through.
        suggestion: what to do.
    """

    code: str
    step: str
    line: int
    detail: str
    word: str = ""
    path: tuple[Hop, ...] = ()
    suggestion: str | None = None

    def text(self) -> str:
        """The sentence with the path behind it."""
        return f"{self.detail} Path: {path_text(self.path)}." if self.path else self.detail


def path_text(path: Iterable[Hop]) -> str:
    """A path in one line."""
    return " → ".join(f"{hop.at} ({hop.how})" if hop.how else hop.at for hop in path)


def worst_path(flow: Flow) -> tuple[Hop, ...]:
    """The path of the least trusted atom, the shortest of them."""
    atoms = sorted(flow.atoms, key=lambda atom: (-atom.trust, len(atom.path), atom.source, atom.domain, atom.review))
    return atoms[0].path if atoms else ()
