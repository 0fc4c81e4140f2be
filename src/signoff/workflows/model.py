"""What a workflow document means once compiled. Frozen: a compiled workflow is shared by all its runs."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import field
from typing import Any, Literal, Protocol

from signoff.core.labels import Labels
from signoff.core.money import Cost
from signoff.core.values import value
from signoff.workflows.declared import Defaults, Fragment

StepStatus = Literal["done", "not_needed", "blocked", "failed", "cancelled", "bypassed"]
Verb = Literal[
    "ai",
    "model",
    "tool",
    "retrieve",
    "check",
    "decide",
    "review",
    "emit",
    "set",
    "wait",
    "call",
    "for",
    "repeat",
    "agent",
    "plan",
    "do",
    "use",
]
GROUP_VERBS: frozenset[Verb] = frozenset(("for", "repeat", "agent", "plan", "do", "use"))
"""Verbs whose steps have steps of their own."""
LOOP_VERBS: frozenset[Verb] = frozenset(("repeat", "agent"))
"""Those of them that go on, turn after turn, until a condition holds."""

Risk = Literal["low", "medium", "high"]
GoalUnit = Literal["number", "share", "seconds", "usd"]
ErrorMode = Literal["fail", "continue", "value", "steps"]
AttributeType = Literal["text", "integer", "number", "boolean", "timestamp"]


@value
class Read:
    """One thing that an expression names.

    Attributes:
        root: `input`, or a step's name, or `result` (a step's own output, in `undo`), or in the body of a group what
            it is given: `index`, `last`, and the item under its name.
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


@value
class Retry:
    """How often and how patiently a step is tried again after a retryable error.

    Attributes:
        times: tries after the first.
        delay_s: before the first retry, in seconds.
        backoff: what the delay is multiplied with after each.
        max_delay_s: a ceiling, in seconds.
        jitter: how much a delay may differ from that, as a share from 0 to 1, so that many runs do not come at once.
        on: kinds of errors that are retried, whether or not they are called retryable; others are not. Empty means
            every retryable one.
        never: kinds of errors that are not retried, whatever `on` says.
    """

    times: int = 0
    delay_s: float = 1.0
    backoff: float = 2.0
    max_delay_s: float = 300.0
    jitter: float = 0.0
    on: frozenset[str] = frozenset()
    never: frozenset[str] = frozenset()

    def delay_before_s(self, retry: int, chance: float = 0.5) -> float:
        """Seconds to wait before a retry.

        Args:
            retry: which one, from 1.
            chance: a random number from 0 to 1; 0.5 gives the delay without jitter.
        """
        delay_s = min(self.delay_s * self.backoff ** (retry - 1), self.max_delay_s)
        return delay_s * (1 + self.jitter * (2 * chance - 1))

    def retries(self, kind: str, *, retryable: bool) -> bool:
        """Whether an error of that kind is retried where there are tries left.

        A kind stands for itself; one that ends in `xx` for the hundred HTTP statuses that it names (`http_5xx`).
        """
        if any(_stands_for(named, kind) for named in self.never):
            return False
        return any(_stands_for(named, kind) for named in self.on) if self.on else retryable


def _stands_for(named: str, kind: str) -> bool:
    if not named.endswith("xx"):
        return named == kind
    return kind == named or (kind.startswith(named[:-2]) and kind.removeprefix(named[:-2]).isdigit())


@value
class Step:
    """One step of a workflow.

    Attributes:
        name: its name in the document.
        verb: which handler of `steps/` runs it.
        target: what the verb names: `classify@^3`, `shop.get_order`, a review's title, an event's type (of `emit`, and
            of a `wait` for an event), an index, a workflow.
        arguments: the verb's data by key (`with`, `query`, `propose`, `show`, `payload`, `set`), each a template whose
            evaluation gives plain data. Of `for`: `items`, a list. Of `repeat`: `start`, where there is one. Of `wait`:
            `match` (for an event), or `until` (a moment, RFC 3339).
        settings: the verb's constants by key (`by`, `editable`, `escalate`, `expire`, `top`), durations in seconds.
            Of `for`: `as`, `at_once`, `max`, `failures` (fail or collect). Of `repeat`: `max`, `every` (seconds, or not
            there). Of `wait`: `duration_s` (a pause), `on_timeout` (fail or continue). Of `call`: `detach`, `on_cancel`
            (cancel or leave), `priority` (or not there).
        when: its own condition; false makes it not_needed.
        needed: of a review: false means that its values stand as proposed.
        requires: steps that must be done; a review must be approved or not_needed (rule 5).
        after: steps that must have ended (rule 6).
        asserts: conditions on the values about to be used; one that is false fails the step.
        once: the idempotency key by business meaning.
        undo: the step that takes this one's effect back; its `arguments` may read `result`.
        error_mode: what a failure leads to: that of the run or group around it; nothing (`continue`: the step is
            failed, and those who read its data are blocked); or another output, from `on_error` or `fallback`.
        on_error: a template for the output to use instead of an uncaught failure (rule 9); of mode value alone.
        fallback: the steps to run instead, in a scope of their own; of mode steps alone.
        fallback_give: the output then, evaluated in the scope of those steps.
        reads_error: those steps see the failure as `error`: `kind` and `detail`.
        body: of a group: its steps, in document order. Of an `agent` and a `plan` those that
            they are made of (`agents.py`, `plans.py`).
        give: of a group: its result, per iteration, evaluated in the scope of the body.
        until: of `repeat`: evaluated after each turn in the scope of the body; true ends the group.
        waits_for: names of every step of its own scope that it, its body or its fallback names anywhere (rule 2).
        line: where it stands in the document, from 1.
        file: the fragment's that it stands in; empty of the workflow's own. A `use` is a `do` whose target is the
            fragment, and whose argument `with` its steps see as `given`.
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
    error_mode: ErrorMode = "fail"
    fallback: tuple[Step, ...] = ()
    fallback_give: Expression | None = None
    body: tuple[Step, ...] = ()
    give: Expression | None = None
    until: Expression | None = None
    reads_error: bool = False
    file: str = ""

    @property
    def is_group(self) -> bool:
        """Whether it has steps of its own."""
        return self.verb in GROUP_VERBS


def every_step(steps: Iterable[Step]) -> Iterator[Step]:
    """The steps and all inside them, of groups and of fallbacks, at any depth; compensations are not among them."""
    for step in steps:
        yield step
        yield from every_step(step.body)
        yield from every_step(step.fallback)


@value
class Outcome:
    """A named end of the workflow; the first whose condition is true is the run's (rule 10).

    Attributes:
        give: the run's output when it ends so; none means an empty one.
    """

    name: str
    condition: Expression
    give: Expression | None = None


@value
class Attribute:
    """A value that runs are listed and searched by.

    Attributes:
        value: journaled once everything that it reads has ended; not at all where that has no data, or it is null.
        type: what it is searched as. A timestamp is a text as of RFC 3339.
    """

    name: str
    value: Expression
    type: AttributeType


@value
class Limits:
    """Bounds of one run; none means the deployment's default.

    Attributes:
        cost: what its model calls may cost together.
        time_s: from its start to its end, waits included, in seconds.
        events: how many events its journal may have.
    """

    cost: Cost | None = None
    time_s: float | None = None
    events: int | None = None


@value
class Goal:
    """What a workflow is for, as a number that evaluation measures.

    Attributes:
        value: in the unit; a share is from 0 to 1.
        side: whether more (`at_least`) or less (`at_most`) is better.
    """

    name: str
    value: float
    unit: GoalUnit
    side: Literal["at_least", "at_most"]


@value
class PythonFunction:
    """The code of a workflow that is written in Python.

    Attributes:
        name: the function's, in the workflow's file.
        line: where it begins, from 1.
        load: imports the release's file and gives the function. It runs the project's code: only workers call it.
        requires: the packages that its project asks for, as `name` or `name>=2,<3`.
    """

    name: str
    line: int
    load: Callable[[], Callable[..., Any]]
    requires: tuple[str, ...] = ()


@value
class Workflow:
    """A compiled document, or the head of a workflow in Python: that has no steps of its own to tell.

    Attributes:
        name: as in the document, e.g. `support/refund`.
        version: its semantic version.
        input_schema: the JSON Schema (2020-12) of its input.
        goals: what it is for, by name.
        steps: in document order.
        outcomes: in document order.
        digest: SHA-256 of the document and of everything compiled into it, hexadecimal. A journal names it.
        file: the document's path in its project.
        input_labels: what the input's schema says of each field, by path (`("ticket", "text")`).
        attributes: what runs are searched by, in document order.
        output_schema: JSON Schema of a run's output, as far as it is known: whatever its outcomes give.
        python: its code, where it is written in Python.
    """

    name: str
    version: str
    about: str
    owner: str
    risk: Risk
    goals: Mapping[str, Goal]
    limits: Limits
    input_schema: Mapping[str, Any]
    steps: tuple[Step, ...]
    outcomes: tuple[Outcome, ...]
    digest: str
    file: str
    input_labels: Mapping[tuple[str, ...], Labels] = field(default_factory=dict[tuple[str, ...], Labels])
    attributes: tuple[Attribute, ...] = ()
    output_schema: Mapping[str, Any] = field(default_factory=dict[str, Any])
    python: PythonFunction | None = None

    def step(self, name: str) -> Step:
        """The step of that name, of the workflow itself: not one in a group.

        Raises:
            KeyError: there is none.
        """
        for step in self.steps:
            if step.name == name:
                return step
        raise KeyError(name)


@value
class Contract:
    """What a prompt, tool, index, rule set or workflow takes and gives, as far as the language must know.

    Attributes:
        input_schema: JSON Schema of its arguments.
        output_schema: JSON Schema of its output.
        effect: whether calling it changes the world.
        outcomes: of a workflow: the names of its ends.
        key_argument: of a tool: the argument that the engine puts its idempotency key into; empty where there is none.
    """

    input_schema: Mapping[str, Any]
    output_schema: Mapping[str, Any]
    effect: bool = False
    outcomes: tuple[str, ...] = ()
    key_argument: str = ""


@value
class Contracts:
    """Everything that a document may name, by kind and name; `prompts` by name and version constraint as written."""

    prompts: Mapping[str, Contract] = field(default_factory=dict[str, Contract])
    tools: Mapping[str, Contract] = field(default_factory=dict[str, Contract])
    indexes: Mapping[str, Contract] = field(default_factory=dict[str, Contract])
    rules: Mapping[str, Contract] = field(default_factory=dict[str, Contract])
    decisions: Mapping[str, Contract] = field(default_factory=dict[str, Contract])
    schemas: Mapping[str, Mapping[str, Any]] = field(default_factory=dict[str, Mapping[str, Any]])
    workflows: Mapping[str, Contract] = field(default_factory=dict[str, Contract])
    fragments: Mapping[str, Fragment] = field(default_factory=dict[str, Fragment])
    defaults: Defaults | None = None
