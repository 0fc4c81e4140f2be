"""What a workflow in Python awaits: commands, groups of them, and what they give back."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Generator, Mapping
from dataclasses import dataclass, field
from types import CoroutineType
from typing import Any, Generic, TypeVar, cast

from signoff.core.labels import BOTTOM, Labels
from signoff.workflows.errors import ExpressionError
from signoff.workflows.model import Expression, Read, Scope, Step, Verb

T = TypeVar("T")

APPROVING = frozenset({"approved", "not_needed"})


class Result(dict[str, Any]):
    """The output of a step that has ended: a dict of plain data, a copy of the workflow's own.

    Attributes:
        path: the step's path in its run; `requires` takes the result itself.
        status: `done`, or `bypassed` where an operator skipped the step: it has no data then.
        result: the status; of a review approved, rejected, expired or not_needed; of a wait also timed_out.
    """

    def __init__(self, data: Mapping[str, Any], *, path: str = "", status: str = "done", result: str = "done") -> None:
        super().__init__(data)
        self.path = path
        self.status = status
        self.result = result

    @property
    def done(self) -> bool:
        """Whether the step did what it was for."""
        return self.status == "done"

    @property
    def approved(self) -> bool:
        """Of a review: whether what was proposed, or edited, may be done."""
        return self.done and self.result in APPROVING

    def __missing__(self, key: str) -> Any:
        known = ", ".join(self) or "nothing"
        raise KeyError(f"{key}: '{self.path}' ended {self.result} and gave {known}")


@dataclass(frozen=True, slots=True)
class RunOutcome:
    """What a workflow returns: one of its outcomes by name, and the run's output. Made by `ctx.outcome(…)`."""

    name: str
    output: Mapping[str, Any] = field(default_factory=dict[str, Any])


@dataclass(frozen=True, slots=True)
class Continuation:
    """What a workflow returns that begins anew, with another input, in a new run. Made by `ctx.continue_as_new(…)`."""

    input: Mapping[str, Any]


@dataclass(frozen=True, slots=True)
class Place:
    """Where in a project's files something is written; `line` counts from 1."""

    file: str
    line: int

    def __str__(self) -> str:
        return f"{self.file}:{self.line}"


@dataclass(slots=True, eq=False)
class Command(Awaitable[Result]):
    """One step that a workflow asks for. It begins when it is awaited, or when the gather that has it begins.

    Attributes:
        step: what the engine runs, still without its path.
        arguments: plain data by the verb's keys.
        requires: paths of the steps that must permit it.
        needed: of a review: whether a person must decide.
        name: what the author called it.
        place: where it was written.
        inside: where it stands in its scope, of a step that a verb is made of: `[0]/`.
        used: it was awaited; nothing runs twice by being awaited twice.
    """

    step: Step
    arguments: Mapping[str, Any]
    place: Place
    requires: tuple[str, ...] = ()
    needed: bool = True
    name: str | None = None
    inside: str = ""
    used: bool = False

    def __await__(self) -> Generator[Any, Any, Result]:
        return (yield self)


class Composed(Awaitable[Result]):
    """What a verb stands for that is made of steps: an agent, or a plan. They begin when it is awaited.

    Args:
        verb: which.
        steps: asks for its steps, one after the other, and gives what it comes to.
        name: what the author called it.
    """

    __slots__ = ("name", "steps", "used", "verb")

    def __init__(self, verb: Verb, steps: Callable[[], CoroutineType[Any, Any, Result]], *, name: str | None) -> None:
        self.verb = verb
        self.steps = steps
        self.name = name
        self.used = False

    def __await__(self) -> Generator[Any, Any, Result]:
        return (yield self)


class Gather(Awaitable[T], Generic[T]):
    """Several branches at once, each with a scope of its own. It ends when all of them have."""

    __slots__ = ("at_once", "branches", "errors", "name", "place", "used")

    def __init__(
        self, branches: tuple[Awaitable[Any], ...], place: Place, *, at_once: int, errors: bool, name: str | None
    ) -> None:
        self.branches = branches
        self.place = place
        self.at_once = at_once
        self.errors = errors
        self.name = name
        self.used = False

    def __await__(self) -> Generator[Any, Any, T]:
        return (yield self)


class Undo:
    """The arguments of a compensation, from what its step gave: an Expression over a function of the workflow."""

    __slots__ = ("_function", "source")

    def __init__(self, function: Any, source: str) -> None:
        self._function = function
        self.source = source

    @property
    def reads(self) -> tuple[Read, ...]:
        """The step's own output."""
        return (Read("result"),)

    @property
    def parts(self) -> Mapping[str, Expression]:
        """Nothing is known of its fields."""
        return {}

    def evaluate(self, scope: Scope) -> Any:
        """What the function gives for the output.

        Raises:
            ExpressionError: it raised, or gave no dict.
        """
        try:
            given = self._function(dict(scope.value("result")))
        except Exception as error:
            raise ExpressionError(f"{self.source} raised {type(error).__name__}: {error}") from error
        if not isinstance(given, dict):
            raise ExpressionError(f"{self.source} gave no dict")
        return cast("dict[str, Any]", given)

    def labels(self, scope: Scope) -> Labels:  # noqa: ARG002  (the protocol has it)
        """A compensation has the labels of its step: the engine joins them."""
        return BOTTOM
