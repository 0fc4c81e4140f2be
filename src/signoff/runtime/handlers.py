"""The seam between the engine and what steps do: one handler per verb, registered by `steps/`.

The engine knows no AI: it gives a handler the step's evaluated arguments, journals what comes back, and calls again
after a crash, a retry or a wake-up. Everything a handler does before its result is journaled may happen more than once,
so a handler's effects are idempotent or declared through `effect`.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from contextlib import AbstractAsyncContextManager
from dataclasses import field
from datetime import datetime
from functools import lru_cache
from typing import Any, Literal, Protocol, cast, runtime_checkable
from uuid import UUID

from signoff.core.actors import Actor
from signoff.core.clock import Clock
from signoff.core.fresh import fresh_dict
from signoff.core.labels import BOTTOM, Fields, Labels, no_fields
from signoff.core.money import NO_USAGE, Cost, Usage
from signoff.core.values import value
from signoff.workflows.model import Risk, Step, Workflow

Recovery = Literal["resend", "lookup", "ask"]


@value
class RunFacts:
    """What never changes about a run.

    Attributes:
        chain_id: the first of the runs that this one continues; none where it continues none.
        chain_started_at: when that one started.
        depth: how many runs called one another until this one was called.
        team: whose share of a queue it takes.
        ceilings: the limits of cost that hold over several runs at once, with the run whose they are: its callers', and
            its own where it may call others.
        dry: it is a fork that acts dry: what a step of it would do is not done.
    """

    run_id: UUID
    org_id: UUID
    workflow: str
    version: str
    release: str
    risk: Risk
    started_by: Actor
    started_at: datetime
    cost_limit: Cost | None = None
    chain_id: UUID | None = None
    chain_started_at: datetime | None = None
    depth: int = 0
    team: str = ""
    ceilings: tuple[tuple[UUID, Cost], ...] = ()
    dry: bool = False


@value
class Spending:
    """What an effect spends of a quota, where no person approved it.

    Attributes:
        quota: whose: the tool's name.
        holder: for whom, as text.
        amount: how much, a whole number that is not negative.
        most: how much in all that holder may spend within the window.
        window_s: in seconds, counted back from now.
    """

    quota: str
    holder: str
    amount: int
    most: int
    window_s: float


@value
class Effect:
    """A step whose call changes the world. Its intent is journaled and durable before the call is made.

    Attributes:
        recovery: what to do after a crash between the call and its journaled answer: send again with the same key,
            look the outcome up by key, or ask a person.
        settle_s: how long after the intent a call may still take effect, in seconds: the request's timeout and the
            lag that the other side declares. A look-up before that could miss a call under way.
        spending: what it spends of a quota; none where the contract has no quota.
    """

    recovery: Recovery
    settle_s: float = 0.0
    spending: Spending | None = None


@value
class Approval:
    """A review's decision as a later step sees it.

    Attributes:
        step: the review's name.
        review_id: its id.
        digest: SHA-256 of exactly what was shown and decided, hexadecimal.
        decided_by: who, as `kind/id`; `policy` where no person was needed.
        result: approved or not_needed.
    """

    step: str
    review_id: str
    digest: str
    decided_by: str
    result: str

    def as_dict(self) -> dict[str, str]:
        """The approval for JSON. `dataclasses.asdict` copies each text deeply: a tenth of what a decision costs."""
        who = {"decided_by": self.decided_by, "result": self.result}
        return {"step": self.step, "review_id": self.review_id, "digest": self.digest, **who}


@value
class Told:
    """Something that a run was told: its input (verb `input`), or what a step of it gave that is done.

    Attributes:
        path: of the step; empty of the input.
        verb: of the step.
        target: what the step names: a tool, a prompt.
        arguments: what it was given, by the verb's keys.
        output: the input, or what the step gave.
    """

    path: str
    verb: str
    target: str
    arguments: Mapping[str, Any]
    output: Mapping[str, Any]


Record = Callable[[str, Mapping[str, Any]], None]

DECISION = "policy.decision"
"""The fact that policy permitted a try, or did not; of an effect it is told with its intent."""


@value
class StepCall:
    """Everything a handler is told about one try of one step.

    Attributes:
        run: what never changes about the run.
        step: the compiled step.
        path: its place in the run; the name, or `refund/undo` for a compensation. Unique within the run.
        arguments: the step's arguments, evaluated, by the verb's keys.
        labels: the join of the labels of everything that the step read, control included.
        argument_labels: labels per key of `with` (or of the verb's only data key), where they differ.
        control: of what decided that the step runs, of a `call`; none where it is not told apart from `labels`.
        attempt: which try this is, from 1.
        needed: of a review: whether a person is needed.
        approvals: the decided reviews that the step requires.
        idempotency_key: of an effect: the same for every try, from `once` or the run and step.
        may_send: of an effect: call it at the last moment before anything leaves this process. It raises where the
            lease may be over by now, and another worker at it; preparing, connecting or a pause take time.
        timeout_s: how long this try may take, in seconds.
        spent: what the run used before this try.
        release: whatever the release loader returned for the run's release; handlers know its type.
        record: journals a fact about this step (`policy.decision`, `model.call`, …) before the step's own end.
        clock: the injected clock.
        generation: how often the step was begun anew after the run's end; it asks people again, and acts again.
        given_by: what the steps of a verb that are done in this run have given so far, whichever scope they stand in.
        told: the input, and all that steps of this run have given themselves so far, in the order in which they ended.
        plan: what the handler keeps about the step while this try lasts; see `planned`.
    """

    run: RunFacts
    step: Step
    path: str
    arguments: Mapping[str, Any]
    labels: Labels
    release: Any
    record: Record
    clock: Clock
    argument_labels: Mapping[str, Labels] = field(default_factory=fresh_dict)
    attempt: int = 1
    needed: bool = True
    approvals: tuple[Approval, ...] = ()
    idempotency_key: str | None = None
    may_send: Callable[[], None] = lambda: None
    timeout_s: float = 60.0
    spent: Usage = NO_USAGE
    generation: int = 0
    given_by: Callable[[str], Iterable[Mapping[str, Any]]] = lambda verb: ()  # noqa: ARG005  (nothing, without a run)
    told: Callable[[], Iterable[Told]] = tuple
    control: Labels | None = None
    plan: Any = field(default=None, compare=False)

    def planned(self, plan: Any) -> None:
        """Keep what the handler has found out about the step, as long as this try lasts."""
        object.__setattr__(self, "plan", plan)

    def sent_with(self, idempotency_key: str | None, may_send: Callable[[], None]) -> None:
        """Make it the call as it is sent, once its intent is on the disk: the same one, which is nobody else's."""
        object.__setattr__(self, "idempotency_key", idempotency_key)
        object.__setattr__(self, "may_send", may_send)


@value
class Done:
    """The step is done.

    Attributes:
        output: plain JSON data; an object unless the verb says otherwise.
        labels: what the handler adds to the labels of what the step read, e.g. that a model's output is untrusted.
        fields: of single fields of the output, what is added to what the step read instead of `labels`.
        result: what `.result` says of it; reviews say approved, rejected, expired or not_needed.
        approval: of a review that was approved or not needed.
        readable: whether later steps may read the output; a rejected review's values may not be.
    """

    output: Mapping[str, Any]
    labels: Labels = BOTTOM
    result: str = "done"
    approval: Approval | None = None
    readable: bool = True
    fields: Fields = field(default_factory=no_fields)


@value
class Waiting:
    """The step waits for a message to its path, or for a moment. The run may leave memory meanwhile.

    Attributes:
        kind: what it waits for, for people and lists: `review`, `outcome_unknown`.
        until: when to call `resume` without a message; none means that only a message wakes it.
        state: plain JSON data that `resume` gets back.
        about: one sentence for people: what is waited for and who can end it.
    """

    kind: str
    until: datetime | None = None
    state: Mapping[str, Any] = field(default_factory=fresh_dict)
    about: str = ""


@value
class Message:
    """Something that arrived for a waiting step: a signal, an event, or a review's decision."""

    message_id: UUID
    kind: str
    sent_by: str
    data: Mapping[str, Any]


class StepHandler(Protocol):
    """What runs the steps of one verb. Raises StepError for a failure; any other exception is a failure too."""

    @property
    def verb(self) -> str:
        """The verb of the language that it runs."""
        ...

    @property
    def visible(self) -> bool:
        """Whether `execute` writes what others see, though no effect: what it rests on is on the disk before."""
        ...

    def effect(self, call: StepCall) -> Effect | None:
        """What must be journaled before `execute`, or none where nothing outside changes."""
        ...

    async def permit(self, call: StepCall) -> None:
        """Asked before every try, on its final arguments, and before an intent is journaled or an approval consumed.

        Raises:
            StepError: kind `forbidden`; nothing is sent.
        """
        ...

    async def execute(self, call: StepCall) -> Done | Waiting:
        """One try. It is cut off after `call.timeout_s` seconds."""
        ...

    async def resume(self, call: StepCall, waiting: Waiting, message: Message | None) -> Done | Waiting:
        """Called for a message to a waiting step, or with none when `waiting.until` has come."""
        ...

    async def look_up(self, call: StepCall) -> Done | None:
        """Of an effect with recovery `lookup`: the outcome of the call with this key, or none if it never happened."""
        ...

    def check_answer(self, call: StepCall, output: Mapping[str, Any]) -> None:
        """Of an effect: whether a person may state this as what it answered; later steps read it as if it had.

        Raises:
            StepError: kind `contract`; the person is asked again.
        """
        ...

    async def withdraw(self, call: StepCall, waiting: Waiting) -> Waiting | None:
        """Called when a waiting step will not be waited for any more, as what is around it ends. May be called again.

        Of a review, a wait and a call also where no event says yet that it waits: `waiting.state` is empty then. What
        it gives is waited for before the step counts as ended, of kind `settling`; `resume` hears of it.
        """
        ...


@runtime_checkable
class Deciding(Protocol):
    """A handler that can most often tell at once whether a try is permitted: no coroutine is made for that."""

    def permitted(self, call: StepCall) -> bool:
        """Whether it is; false where that takes a wait, and then `permit` is asked. It says itself if it is not.

        Raises:
            StepError: as `permit`.
        """
        ...


@lru_cache(maxsize=64)
def decides(kind: type[StepHandler]) -> bool:
    """Whether handlers of that class are `Deciding`. Each is looked at once: asking takes its time."""
    return issubclass(kind, Deciding)


@runtime_checkable
class Queueing(Protocol):
    """A handler whose calls wait for something that this process has few of, such as a local model's one thread.

    The wait is before the try: no timeout counts it, and no attempt is used up.
    """

    def turn(self, call: StepCall) -> AbstractAsyncContextManager[None]:
        """Entered before `permit`, left when the try is over."""
        ...


@lru_cache(maxsize=64)
def _queues(kind: type[StepHandler]) -> bool:
    return issubclass(kind, Queueing)


def turn_of(handler: StepHandler, call: StepCall) -> AbstractAsyncContextManager[None] | None:
    """What the call waits for before it begins, if for anything. Each kind is looked at once: asking takes its time."""
    return cast("Queueing", handler).turn(call) if _queues(type(handler)) else None


@runtime_checkable
class Passing(Protocol):
    """A handler of which some waits are over with their moment, and nothing else has to be done or looked at."""

    def passed(self, waiting: Waiting) -> Done | None:
        """What the step gives whose moment has come; none where `resume` has to say."""
        ...


@lru_cache(maxsize=64)
def _passes(kind: type[StepHandler]) -> bool:
    return issubclass(kind, Passing)


def passed_by(handler: StepHandler, waiting: Waiting) -> Done | None:
    """What a wait gives whose moment has come, where its handler can tell at once."""
    return cast("Passing", handler).passed(waiting) if _passes(type(handler)) else None


class PureHandler(Protocol):
    """A verb that only computes: run inline, without a task, a timeout or an attempt of its own."""

    @property
    def verb(self) -> str:
        """The verb of the language that it runs."""
        ...

    def compute(self, call: StepCall) -> Done:
        """The step's output from its arguments alone."""
        ...


class ReleaseLoader(Protocol):
    """Finds what a run pinned: implemented by `catalog/`, so that the engine need not know what a project is."""

    async def load(self, org_id: UUID, release: str) -> Any:
        """What handlers get as `call.release`. Cached by the implementation; releases never change.

        Raises:
            NotFoundError: no such release in that organisation.
        """
        ...

    async def workflow(self, org_id: UUID, release: str, name: str) -> Workflow:
        """The compiled workflow of that name in that release.

        Raises:
            NotFoundError: no such workflow.
        """
        ...
