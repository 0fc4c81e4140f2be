"""What a workflow in Python is given: the verbs of the language as methods, with the same keys."""

from __future__ import annotations

from collections.abc import Awaitable, Mapping, Sequence
from datetime import datetime
from typing import Any, TypeVar, overload
from uuid import UUID

from signoff.workflows.kinds import MODEL_KINDS
from signoff.workflows.python.commands import Command, Continuation, Gather, RunOutcome
from signoff.workflows.python.composing import ComposingVerbs
from signoff.workflows.python.making import Requires, command, place_at, shown_by_name, step_of
from signoff.workflows.python.options import (
    Duration,
    UndoOption,
    attribute_of,
    escalate_of,
    name_of,
    role_of,
    seconds_of,
)
from signoff.workflows.verbs import DEFAULT_TOP, MAX_TOP

MAX_BRANCHES = 10_000
"""Branches of one gather."""

A = TypeVar("A")
B = TypeVar("B")
C = TypeVar("C")


class Context(ComposingVerbs):
    """A run, as its workflow sees it. The only source of what is not in the input: of data, time, chance and ids."""

    __slots__ = ()

    @property
    def run_id(self) -> UUID:
        """Which run it is."""
        return self._host.run_id

    # --- verbs ---------------------------------------------------------------------------------------------------

    def ai(
        self,
        prompt: str,
        with_: Mapping[str, Any] | None = None,
        *,
        name: str | None = None,
        requires: Requires = (),
        retry: Mapping[str, Any] | None = None,
        timeout: Duration | None = None,
    ) -> Command:
        """One bounded model task: a prompt of the registry (`classify@^3`) with its variables. Gives its output."""
        step = step_of("ai", prompt, retry=retry, timeout=timeout)
        return command(step, {"with": with_ or {}}, name, requires)

    def model(
        self,
        kind: str,
        with_: Mapping[str, Any] | None = None,
        *,
        labels: Mapping[str, str] | None = None,
        name: str | None = None,
        requires: Requires = (),
        retry: Mapping[str, Any] | None = None,
        timeout: Duration | None = None,
    ) -> Command:
        """A model that is no language model, by its kind, such as `classify` with its labels, or `forecast`."""
        if kind not in MODEL_KINDS:
            raise ValueError(f"there are no models of the kind '{kind}'; there are: {', '.join(MODEL_KINDS)}")
        if (kind == "classify") != (labels is not None):
            raise ValueError("a classification has labels, and nothing else has")
        settings = {} if labels is None else {"labels": dict(labels)}
        return command(
            step_of("model", kind, settings, retry=retry, timeout=timeout), {"with": with_ or {}}, name, requires
        )

    def tool(
        self,
        tool: str,
        with_: Mapping[str, Any] | None = None,
        *,
        name: str | None = None,
        requires: Requires = (),
        once: str | None = None,
        undo: UndoOption | None = None,
        retry: Mapping[str, Any] | None = None,
        timeout: Duration | None = None,
    ) -> Command:
        """A call by contract. One with an effect happens once, whatever breaks; `once` is its key by business meaning.

        `undo` takes it back if the run fails later: `("payments.reverse", lambda result: {"id": result["id"]})`.
        """
        step = step_of("tool", tool, retry=retry, timeout=timeout, once=once, undo=undo)
        return command(step, {"with": with_ or {}}, name, requires)

    def retrieve(
        self,
        index: str,
        query: str,
        *,
        top: int = DEFAULT_TOP,
        name: str | None = None,
        requires: Requires = (),
        retry: Mapping[str, Any] | None = None,
        timeout: Duration | None = None,
    ) -> Command:
        """Passages of an index for a query: `{"hits": [{"text": …, "path": …, …}]}`, the best first."""
        if not 1 <= top <= MAX_TOP:
            raise ValueError(f"top is a whole number from 1 to {MAX_TOP}")
        step = step_of("retrieve", index, {"top": top}, retry=retry, timeout=timeout)
        return command(step, {"query": query}, name, requires)

    def check(
        self, rule: str, with_: Mapping[str, Any] | None = None, *, name: str | None = None, requires: Requires = ()
    ) -> Command:
        """A named rule over values; a broken condition that blocks fails the step."""
        return command(step_of("check", rule), {"with": with_ or {}}, name, requires)

    def decide(
        self, decision: str, with_: Mapping[str, Any] | None = None, *, name: str | None = None, requires: Requires = ()
    ) -> Command:
        """A decision table over values: what the rows that are hit give, and `matched`, their ids."""
        return command(step_of("decide", decision), {"with": with_ or {}}, name, requires)

    def review(
        self,
        title: str,
        *,
        by: str,
        propose: Mapping[str, Any] | None = None,
        show: Mapping[str, Any] | Sequence[Any] = (),
        editable: Sequence[str] = (),
        needed: bool = True,
        escalate: Mapping[str, Any] | None = None,
        expire: Duration | None = None,
        name: str | None = None,
        requires: Requires = (),
    ) -> Command:
        """A person decides. The run leaves memory until then, however long it takes.

        What is proposed comes back as edited: `decision["cents"]`. `decision.approved` says whether it may be done;
        give the decision to the step that it permits, as `requires=[decision]`.
        """
        proposed = dict(propose or {})
        unknown = [field for field in editable if field not in proposed]
        if unknown:
            raise ValueError(f"'{unknown[0]}' is not proposed, so it cannot be edited")
        expire_s = None if expire is None else seconds_of(expire, "expire")
        settings: dict[str, Any] = {"by": role_of(by, "by"), "editable": tuple(editable)}
        if expire_s is not None:
            settings["expire"] = expire_s
        if escalate is not None:
            settings["escalate"] = escalate_of(escalate, expire_s)
        arguments = {"propose": proposed, "show": shown_by_name(show)}
        return command(step_of("review", title, settings), arguments, name, requires, needed=needed)

    def emit(
        self,
        event_type: str,
        payload: Mapping[str, Any] | None = None,
        *,
        name: str | None = None,
        requires: Requires = (),
        retry: Mapping[str, Any] | None = None,
        timeout: Duration | None = None,
    ) -> Command:
        """Publish an event for whoever listens."""
        step = step_of("emit", event_type, retry=retry, timeout=timeout)
        return command(step, {"payload": payload or {}}, name, requires)

    def wait(self, moment: Duration | datetime, *, name: str | None = None) -> Command:
        """Go on after a duration (`2h`), or at a moment. The run leaves memory meanwhile."""
        if isinstance(moment, datetime):
            if moment.tzinfo is None:
                raise ValueError("a moment to wait for has a time zone")
            return command(step_of("wait", ""), {"until": moment.isoformat()}, name, ())
        return command(step_of("wait", "", {"duration_s": seconds_of(moment, "wait")}), {}, name, ())

    def event(
        self,
        event_type: str,
        *,
        match: Mapping[str, Any] | None = None,
        timeout: Duration | None = None,
        on_timeout: str = "fail",
        name: str | None = None,
    ) -> Command:
        """Wait for an event with these fields: `{"event": {…}}`.

        A timeout raises StepFailed of kind `timeout`, or with `on_timeout="continue"` gives a result `timed_out`.
        """
        if on_timeout not in ("fail", "continue"):
            raise ValueError("on_timeout is 'fail' or 'continue'")
        step = step_of("wait", event_type, {"on_timeout": on_timeout}, timeout=timeout)
        return command(step, {"match": match or {}}, name, ())

    def call(
        self,
        workflow: str,
        with_: Mapping[str, Any] | None = None,
        *,
        detach: bool = False,
        on_cancel: str = "cancel",
        priority: int | None = None,
        name: str | None = None,
        requires: Requires = (),
        retry: Mapping[str, Any] | None = None,
        timeout: Duration | None = None,
    ) -> Command:
        """Run another workflow of this release and wait for its end: `{"run_id": …, "outcome": …, "output": {…}}`.

        One that has not ended after `timeout` is cancelled; `retry` calls again after that, or after one that failed.
        """
        if detach and timeout is not None:
            raise ValueError("a run that is detached is not waited for: it has no timeout")
        if on_cancel not in ("cancel", "leave"):
            raise ValueError("on_cancel is 'cancel' or 'leave'")
        settings: dict[str, Any] = {"detach": detach, "on_cancel": on_cancel}
        if priority is not None:
            settings["priority"] = priority
        step = step_of("call", workflow, settings, retry=retry, timeout=timeout)
        return command(step, {"with": with_ or {}}, name, requires)

    # --- control -------------------------------------------------------------------------------------------------

    @overload
    def gather(
        self, first: Awaitable[A], /, *, at_once: int = ..., errors: bool = ..., name: str | None = ...
    ) -> Gather[tuple[A]]: ...

    @overload
    def gather(
        self,
        first: Awaitable[A],
        second: Awaitable[B],
        /,
        *,
        at_once: int = ...,
        errors: bool = ...,
        name: str | None = ...,
    ) -> Gather[tuple[A, B]]: ...

    @overload
    def gather(
        self,
        first: Awaitable[A],
        second: Awaitable[B],
        third: Awaitable[C],
        /,
        *,
        at_once: int = ...,
        errors: bool = ...,
        name: str | None = ...,
    ) -> Gather[tuple[A, B, C]]: ...

    @overload
    def gather(
        self, *branches: Awaitable[A], at_once: int = ..., errors: bool = ..., name: str | None = ...
    ) -> Gather[tuple[A, ...]]: ...

    def gather(
        self, *branches: Awaitable[Any], at_once: int = MAX_BRANCHES, errors: bool = False, name: str | None = None
    ) -> Gather[Any]:
        """Several commands, or coroutines of them, at once; their results in the order given.

        It ends when every branch has ended. Then the first failure in the order given is raised; with `errors=True`
        failures stand among the results instead. At most `at_once` branches are under way together.
        """
        if len(branches) > MAX_BRANCHES:
            raise ValueError(f"a gather has at most {MAX_BRANCHES} branches; gather them in parts")
        if at_once < 1:
            raise ValueError("at_once is 1 or more")
        return Gather(branches, place_at(2), at_once=at_once, errors=errors, name=name_of(name))

    def outcome(self, name: str, output: Mapping[str, Any] | None = None, /) -> RunOutcome:
        """What the workflow returns: one of its outcomes, and what the run gives to whoever started it."""
        return RunOutcome(name, dict(output or {}))

    def continue_as_new(self, value: Mapping[str, Any], /) -> Continuation:
        """What the workflow returns to begin anew in a new run, with this input and an empty journal."""
        return Continuation(dict(value))

    def attributes(self, **values: str | float | bool | datetime) -> None:
        """What the run is found by: `ctx.attributes(order=order["id"], due=due)`. A name that comes again is changed.

        What whoever started the run gave under a name stays.
        """
        self._host.note({name: attribute_of(name, value) for name, value in values.items()})

    # --- what is not in the input --------------------------------------------------------------------------------

    def now(self) -> datetime:
        """The time of the event that the workflow goes on from: the run's start, or the end of a step it waited for."""
        return self._host.now

    def random(self) -> float:
        """A number from 0 (included) to 1, from the run's id and the place of the call. Not for secrets."""
        return (int.from_bytes(self._host.noise()[:7]) >> 3) / 2**53

    def uuid(self) -> UUID:
        """An id that no other run or place has."""
        return UUID(bytes=self._host.noise()[:16], version=4)

    def patched(self, name: str) -> bool:
        """Whether this run has the change of that name: yes, unless it passed here before the change was made.

        For runs that are moved to a new release: `if ctx.patched("two-checks"): await ctx.check("second", …)`.
        """
        checked = name_of(name)
        assert checked is not None
        return self._host.patched(checked)
