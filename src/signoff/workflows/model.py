"""What a workflow document means once compiled. Frozen: a compiled workflow is shared by all its runs."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Literal, Protocol

from signoff.core.labels import Labels
from signoff.core.money import Cost

StepStatus = Literal["done", "not_needed", "blocked", "failed", "cancelled", "bypassed"]
Verb = Literal["ai", "tool", "retrieve", "check", "review", "emit", "set"]
Risk = Literal["low", "medium", "high"]


@dataclass(frozen=True, slots=True)
class Read:
    """One thing that an expression names.

    Attributes:
        root: `input`, or a step's name, or `result` (a step's own output, in `undo`).
        path: the fields behind it as far as they are written out, e.g. `("ticket", "text")`.
        status_only: it asks only for `.done` or `.result`, or guards with `.orValue(…)`: allowed of any ended step.
    """

    root: str
    path: tuple[str, ...] = ()
    status_only: bool = False


class Scope(Protocol):
    """What an expression may see while it is evaluated: the run's input and its ended steps."""

    def value(self, root: str) -> Any:
        """The plain value of `input`, `result` or a step, with `done` and `result` among a step's fields."""
        ...

    def readable(self, root: str) -> bool:
        """Whether the data of that root may be read: rule 3 of what happens when something does not happen."""
        ...

    def labels(self, root: str, path: tuple[str, ...]) -> Labels:
        """The labels of that field."""
        ...


class Expression(Protocol):
    """A compiled CEL expression, or a template made of several. Deterministic, bounded, without side effects."""

    @property
    def source(self) -> str:
        """As written in the document."""
        ...

    @property
    def reads(self) -> tuple[Read, ...]:
        """Everything it names, whether or not evaluation would touch it (rule 2)."""
        ...

    @property
    def parts(self) -> Mapping[str, Expression]:
        """Of a mapping of templates: each entry by its key, for labels per field; empty for everything else."""
        ...

    def evaluate(self, scope: Scope) -> Any:
        """The plain value: None, bool, int, float, str, list or dict.

        Raises:
            Blocked: it reads the data of a step that is not done (rule 3).
            ExpressionError: evaluation failed, a missing field included (rule 4). Never absorbed by `||` or `&&`.
        """
        ...

    def labels(self, scope: Scope) -> Labels:
        """The join of the labels of everything it reads."""
        ...


@dataclass(frozen=True, slots=True)
class Retry:
    """How often and how patiently a step is tried again after a retryable error.

    Attributes:
        times: tries after the first.
        delay_s: before the first retry, in seconds.
        backoff: what the delay is multiplied with after each.
        max_delay_s: a ceiling, in seconds.
    """

    times: int = 0
    delay_s: float = 1.0
    backoff: float = 2.0
    max_delay_s: float = 300.0

    def delay_before_s(self, retry: int) -> float:
        """Seconds to wait before the given retry, counted from 1, without jitter."""
        return min(self.delay_s * self.backoff ** (retry - 1), self.max_delay_s)


@dataclass(frozen=True, slots=True)
class Step:
    """One step of a workflow.

    Attributes:
        name: its name in the document.
        verb: which handler of `steps/` runs it.
        target: what the verb names: `classify@^3`, `shop.get_order`, a review's title, an event's type, an index.
        arguments: the verb's data by key (`with`, `query`, `propose`, `show`, `payload`, `set`, `rules`), each a
            template whose evaluation gives plain data.
        settings: the verb's constants by key (`by`, `editable`, `escalate`, `expire`, `top`), durations in seconds.
        when: its own condition; false makes it not_needed.
        needed: of a review: false means that its values stand as proposed.
        requires: steps that must be done; a review must be approved or not_needed (rule 5).
        after: steps that must have ended (rule 6).
        asserts: conditions on the values about to be used; one that is false fails the step.
        once: the idempotency key by business meaning.
        undo: the step that takes this one's effect back; its `arguments` may read `result`.
        on_error: a template for the output to use instead of an uncaught failure (rule 9).
        waits_for: names of every step that it names anywhere (rule 2).
        line: where it stands in the document, from 1.
    """

    name: str
    verb: Verb
    target: str
    arguments: Mapping[str, Expression] = field(default_factory=dict[str, Expression])
    settings: Mapping[str, Any] = field(default_factory=dict[str, Any])
    when: Expression | None = None
    needed: Expression | None = None
    requires: tuple[str, ...] = ()
    after: tuple[str, ...] = ()
    asserts: tuple[Expression, ...] = ()
    once: Expression | None = None
    retry: Retry = Retry()
    timeout_s: float | None = None
    undo: Step | None = None
    on_error: Expression | None = None
    waits_for: frozenset[str] = frozenset()
    line: int = 0


@dataclass(frozen=True, slots=True)
class Outcome:
    """A named end of the workflow; the first whose condition is true is the run's (rule 10)."""

    name: str
    condition: Expression


@dataclass(frozen=True, slots=True)
class Limits:
    """Bounds of one run; none means the deployment's default.

    Attributes:
        cost: what its model calls may cost together.
        time_s: from its start to its end, waits included, in seconds.
    """

    cost: Cost | None = None
    time_s: float | None = None


@dataclass(frozen=True, slots=True)
class Workflow:
    """A compiled document.

    Attributes:
        name: as in the document, e.g. `support/refund`.
        version: its semantic version.
        input_schema: the JSON Schema (2020-12) of its input.
        steps: in document order.
        outcomes: in document order.
        digest: SHA-256 of the document and of everything compiled into it, hexadecimal. A journal names it.
        file: the document's path in its project.
        input_labels: what the input's schema says of each field, by path (`("ticket", "text")`).
    """

    name: str
    version: str
    about: str
    owner: str
    risk: Risk
    goals: Mapping[str, Any]
    limits: Limits
    input_schema: Mapping[str, Any]
    steps: tuple[Step, ...]
    outcomes: tuple[Outcome, ...]
    digest: str
    file: str
    input_labels: Mapping[tuple[str, ...], Labels] = field(default_factory=dict[tuple[str, ...], Labels])

    def step(self, name: str) -> Step:
        """The step of that name.

        Raises:
            KeyError: there is none.
        """
        for step in self.steps:
            if step.name == name:
                return step
        raise KeyError(name)


@dataclass(frozen=True, slots=True)
class Contract:
    """What a prompt, tool, index or rule set takes and gives, as far as the language must know.

    Attributes:
        input_schema: JSON Schema of its arguments.
        output_schema: JSON Schema of its output.
        effect: whether calling it changes the world.
    """

    input_schema: Mapping[str, Any]
    output_schema: Mapping[str, Any]
    effect: bool = False


@dataclass(frozen=True, slots=True)
class Contracts:
    """Everything that a document may name, by kind and name; `prompts` by name and version constraint as written."""

    prompts: Mapping[str, Contract] = field(default_factory=dict[str, Contract])
    tools: Mapping[str, Contract] = field(default_factory=dict[str, Contract])
    indexes: Mapping[str, Contract] = field(default_factory=dict[str, Contract])
    rules: Mapping[str, Contract] = field(default_factory=dict[str, Contract])
    schemas: Mapping[str, Mapping[str, Any]] = field(default_factory=dict[str, Mapping[str, Any]])
