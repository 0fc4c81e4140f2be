"""What checking again need not do again: files that have not changed mean what they meant, in one process.

`signoff check --watch` and editors check after every keystroke that is saved. Nothing is written to the disk: what a
file means is compiled expressions, which cannot be stored, and a cache in a project would be one more file to trust.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any, TypeVar

from signoff.core.errors import Problem
from signoff.workflows.compiler import Uses
from signoff.workflows.documents import Node
from signoff.workflows.model import Contracts, Workflow, every_step

T = TypeVar("T")

MAX_KEPT = 5_000
"""Files that a memo keeps; all are dropped when there are more."""

APART = ("workflows/", "prompts/")
"""Folders whose files are compared one by one; a change of any other file makes every data flow be looked at again."""


@dataclass
class Memo:
    """What the loads of one project made of its files.

    Attributes:
        flows: by workflow, what the analysis of its data flow found.
        around: what those rest on besides the workflows themselves.
    """

    flows: dict[str, tuple[Workflow, Any]] = field(default_factory=dict[str, tuple[Workflow, Any]])
    around: Any = None
    _made: dict[tuple[str, str], tuple[Any, Any]] = field(default_factory=dict[tuple[str, str], tuple[Any, Any]])
    _compiled: dict[str, tuple[Node, Workflow, Uses]] = field(default_factory=dict[str, tuple[Node, Workflow, Uses]])

    def kept(self, kind: str, name: str, content: Any, problems: list[Problem], make: Callable[[], T]) -> T:
        """What a file means: as before where its content is, else made anew. What has problems is not kept."""
        found = self._made.get((kind, name))
        if found is not None and found[0] == content:
            return found[1]
        before = len(problems)
        made = make()
        if made is not None and len(problems) == before:
            self.keep(kind, name, content, made)
        return made

    def keep(self, kind: str, name: str, content: Any, made: Any) -> None:
        """Remember what a file means."""
        if len(self._made) >= MAX_KEPT:
            self._made.clear()
        self._made[kind, name] = (content, made)

    def workflow(self, node: Node, file: str, contracts: Contracts) -> Workflow | None:
        """The compiled workflow of a document that is as it was, and so is everything that it names."""
        found = self._compiled.get(file)
        return found[1] if found is not None and found[0] is node and found[2].hold(contracts) else None

    def keep_workflow(self, node: Node, file: str, workflow: Workflow, uses: Uses) -> None:
        """Remember a compiled workflow with what it rests on."""
        self._compiled[file] = (node, workflow, uses)

    def settle(self, around: Any, workflows: Mapping[str, Workflow]) -> None:
        """Forget the data flows that rest on something else now: of changed workflows, and of all that call them."""
        if around != self.around:
            self.flows.clear()
            self.around = around
        changed = {name for name, workflow in workflows.items() if self.flows.get(name, (None,))[0] is not workflow}
        changed |= self.flows.keys() - workflows.keys()
        while True:
            callers = {
                name
                for name, workflow in workflows.items()
                if name not in changed
                and any(step.verb == "call" and step.target in changed for step in every_step(workflow.steps))
            }
            if not callers:
                break
            changed |= callers
        for name in changed:
            self.flows.pop(name, None)
