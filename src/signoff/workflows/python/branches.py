"""Where a workflow's code is while it runs: coroutines side by side, and the scopes that name their commands."""

from __future__ import annotations

from collections import deque
from dataclasses import dataclass, field
from types import CoroutineType
from typing import Any, cast

from signoff.workflows.python.commands import Gather


@dataclass(slots=True, eq=False)
class Scope:
    """Where commands are counted: the workflow itself, or one branch of a gather."""

    prefix: str = ""
    depth: int = 0
    ordinal: int = 0
    noises: int = 0
    names: set[str] = field(default_factory=set[str])

    def path(self, kind: str, name: str | None, inside: str = "") -> str:
        """The path of the next command: by its own name, or by its place; a name that comes again gets a number.

        `inside` leads to it from the scope's prefix, of a command that stands further in.
        """
        self.ordinal += 1
        chosen = wanted = inside + (name or f"{kind}_{self.ordinal}")
        again = 1
        while chosen in self.names:
            again += 1
            chosen = f"{wanted}_{again}"
        self.names.add(chosen)
        return f"{self.prefix}{chosen}"


@dataclass(slots=True, eq=False)
class Branch:
    """A coroutine and its place among others: of a gather, or what goes on with what it gives (`parent`)."""

    coroutine: CoroutineType[Any, Any, Any]
    scope: Scope
    group: Group | None = None
    index: int = 0
    parent: Branch | None = None


@dataclass(slots=True, eq=False)
class Group:
    """A gather under way."""

    gather: Gather[Any]
    parent: Branch
    path: str
    waiting: deque[Branch]
    results: list[Any]
    failed: dict[int, BaseException] = field(default_factory=dict[int, BaseException])
    left: int = 0


def coroutine_of(awaitable: Any) -> CoroutineType[Any, Any, Any]:
    """Something to send to: a coroutine as it is, anything else that is awaited inside one."""
    if isinstance(awaitable, CoroutineType):
        return cast("CoroutineType[Any, Any, Any]", awaitable)

    async def wait() -> Any:
        return await awaitable

    return wait()
