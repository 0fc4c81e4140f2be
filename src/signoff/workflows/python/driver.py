"""Runs a workflow in Python without an event loop: ends of steps go in, one at a time, and its commands come out.

The same ends in the same order always give the same commands, so a run is brought back to where it was by giving it
what its journal has. Nothing here knows of journals: `runtime/` decides what begins, keeps what was recorded, compares.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Mapping
from contextlib import AbstractContextManager, suppress
from copy import deepcopy
from dataclasses import dataclass, replace
from datetime import datetime
from hashlib import sha256
from typing import Any, cast
from uuid import UUID

import orjson

from signoff.core.errors import StepError
from signoff.core.labels import Labels
from signoff.workflows.ends import MAX_ATTRIBUTES
from signoff.workflows.model import Step
from signoff.workflows.python.authoring import WorkflowFunction
from signoff.workflows.python.branches import Branch, Group, Scope, coroutine_of
from signoff.workflows.python.commands import Command, Composed, Continuation, Gather, Place, Result, RunOutcome
from signoff.workflows.python.context import Context
from signoff.workflows.python.endings import end_of
from signoff.workflows.python.errors import NonResponsiveError, StepBlocked, StepFailed, WorkflowFailed
from signoff.workflows.python.isolation import as_step_error, escaped, foreign_await, no_running_loop
from signoff.workflows.python.watchdog import WATCHDOG, Interrupted
from signoff.workflows.semantics import Ended, Ready, StepState

MAX_NESTING = 5
"""Gathers inside each other, as groups may be in a document."""

MAX_COMMANDS = 10_000
"""Commands of one run; what goes on for ever is better a workflow that calls another."""


DEFAULT_CODE_S = 2.0
"""How long a workflow's code may run from one await to the next, in seconds."""


@dataclass(frozen=True, slots=True)
class Issued:
    """A command that the workflow gave, in its place.

    Attributes:
        path: of the step, e.g. `tool_2`, `refund`, `gather_1[0]/ai_1`.
        step: what the engine runs.
        decision: that it is ready, with its arguments and the labels of everything read so far; or why it does not run.
        place: where it is written.
        patches: changes of the workflow that the run took since the command before, for the journal to remember.
    """

    path: str
    step: Step
    decision: Ready | Ended
    place: Place
    patches: tuple[str, ...] = ()

    @property
    def arguments(self) -> Mapping[str, Any]:
        """The evaluated arguments, none of a command that does not run."""
        return self.decision.arguments if isinstance(self.decision, Ready) else {}


class Driver:
    """One run of a workflow.

    Args:
        function: the workflow.
        run_id: whose run it is; what chance is made from.
        input_value: the run's input.
        started_at: when it started.
        labels: of the whole input.
        outcomes: the names that it may end with.
        recorded: paths of all steps that the journal has, for `ctx.patched`.
        patches: changes that the journal says the run has.
        code_s: how long its code may run from one await to the next, in seconds.

    Attributes:
        run_id: whose run it is.
        now: the time of the event that was delivered last; of the start before any.
        labels: the join of the labels of everything that the workflow has read.
        issued: its commands so far, in the order in which they were given, by path.
        new: those of them that nobody has taken yet.
        attributes: what it says that the run is searched by: type and value by name.
        failed_step: of a workflow that a step's failure has ended: the step's path.
        finished: how it ended: an outcome, the input to begin anew with, or the failure that nothing caught; none while
            it goes on.
    """

    def __init__(
        self,
        function: WorkflowFunction,
        *,
        run_id: UUID,
        input_value: Mapping[str, Any],
        started_at: datetime,
        labels: Labels,
        outcomes: frozenset[str],
        recorded: frozenset[str] = frozenset(),
        patches: frozenset[str] = frozenset(),
        code_s: float = DEFAULT_CODE_S,
    ) -> None:
        self.run_id = run_id
        self.now = started_at
        self.labels = labels
        self.issued: dict[str, Issued] = {}
        self.new: deque[Issued] = deque()
        self.attributes: dict[str, Mapping[str, Any]] = {}
        self.finished: RunOutcome | Continuation | StepError | None = None
        self.failed_step: str | None = None
        self._outcomes = outcomes
        self._code_s = code_s
        self._states: dict[str, StepState] = {}
        self._waiting: dict[str, Branch] = {}
        self._ready: deque[tuple[Branch, Any, BaseException | None]] = deque()
        self._unissued = set(recorded)
        self._patches: dict[str, bool] = dict.fromkeys(patches, True)
        self._new_patches: list[str] = []
        self._current: Branch | None = None
        self._live: list[Branch] = []
        self._main = self._branch(function(Context(self), deepcopy(dict(input_value))), Scope())

    # --- what goes in --------------------------------------------------------------------------------------------

    def start(self) -> None:
        """Run to the first commands.

        Raises:
            ForeignAwaitError: it awaits something that is no command.
        """
        self._go_on(self._main, None, None)

    def deliver(self, path: str, state: StepState, error: Mapping[str, Any] | None, *, at: datetime) -> None:
        """The end of a step that the workflow waits for; it goes on to its next commands.

        Args:
            path: of a step that was issued and has not been delivered.
            state: how it ended.
            error: of a failed one.
            at: when.

        Raises:
            KeyError: the workflow does not wait for that step.
            ForeignAwaitError: it awaits something that is no command.
        """
        branch = self._waiting.pop(path)
        self.now = at
        self.labels = self.labels.join(state.labels)
        self._states[path] = state
        if state.status in ("done", "bypassed", "not_needed"):
            data = cast("dict[str, Any]", orjson.loads(orjson.dumps(state.output))) if state.readable else {}
            self._go_on(branch, Result(data, path=path, status=state.status, result=state.result), None)
        elif state.status == "blocked":
            decision = self.issued[path].decision
            reason = decision.reason if isinstance(decision, Ended) else "something that it needs is not there"
            self._go_on(branch, None, StepBlocked(path, {"kind": "blocked", "detail": reason}))
        else:
            self._go_on(
                branch, None, StepFailed(path, error or {"kind": state.status, "detail": f"it was {state.status}"})
            )

    def waits_for(self, path: str) -> bool:
        """Whether the end of that step would be taken."""
        return path in self._waiting

    def close(self) -> None:
        """The run unwinds: nothing of the workflow runs any more."""
        self._waiting.clear()
        self._ready.clear()
        while self._live:
            branch = self._live.pop()
            # Its own clean-up may fail, or never end; the engine undoes what was done.
            with suppress(Exception, Interrupted), no_running_loop(), self._watching(branch):
                branch.coroutine.close()

    def __del__(self) -> None:
        self.close()

    # --- what the context asks -----------------------------------------------------------------------------------

    def noise(self) -> bytes:
        """32 bytes from the run's id and the place of the call."""
        scope = self._scope()
        scope.noises += 1
        return sha256(f"{self.run_id}/{scope.prefix}#{scope.noises}".encode()).digest()

    def patched(self, name: str) -> bool:
        """Whether this run has that change: it was recorded, or nothing recorded lies ahead of this place."""
        if name not in self._patches:
            self._patches[name] = not self._unissued
            if self._patches[name]:
                self._new_patches.append(name)
        return self._patches[name]

    def note(self, attributes: Mapping[str, Mapping[str, Any]]) -> None:
        """What the run is searched by from here on."""
        if len(self.attributes | dict(attributes)) > MAX_ATTRIBUTES:
            raise ValueError(f"a workflow has at most {MAX_ATTRIBUTES} attributes")
        self.attributes |= attributes

    def _scope(self) -> Scope:
        assert self._current is not None, "a context is used by its own workflow only, while that runs"
        return self._current.scope

    # --- the machine ---------------------------------------------------------------------------------------------

    def _go_on(self, branch: Branch, value: Any, error: BaseException | None) -> None:
        self._ready.append((branch, value, error))
        while self._ready:
            self._advance(*self._ready.popleft())

    def _advance(self, branch: Branch, value: Any, error: BaseException | None) -> None:
        """Run one branch to its next command, or to its end."""
        self._current = branch
        try:
            with no_running_loop(), self._watching(branch):
                wanted = branch.coroutine.send(value) if error is None else branch.coroutine.throw(error)
        except StopIteration as end:
            self._ended(branch, end.value, None)
            return
        except (KeyboardInterrupt, GeneratorExit):
            raise
        except Interrupted as interrupted:
            detail = (
                f"{interrupted}: the code ran for more than {self._code_s:g} s without an await. Long work is a tool's."
            )
            raise NonResponsiveError(detail, at=str(interrupted)) from interrupted
        except BaseException as failure:  # whatever workflow code raises, SystemExit included, is its own failure
            foreign = escaped(failure)
            if foreign is not None:
                raise foreign from failure
            self._ended(branch, None, failure)
            return
        finally:
            self._current = None
        if isinstance(wanted, Command):
            self._issue(branch, wanted)
        elif isinstance(wanted, Gather):
            self._open(branch, cast("Gather[Any]", wanted))
        elif isinstance(wanted, Composed):
            self._compose(branch, wanted)
        else:
            raise foreign_await(branch.coroutine, type(wanted).__name__)

    def _watching(self, branch: Branch) -> AbstractContextManager[None]:
        return WATCHDOG.watching(str(self.run_id), self._code_s, branch.coroutine.cr_code)

    def _issue(self, branch: Branch, command: Command) -> None:
        if command.used:
            self._ready.append((branch, None, RuntimeError("this command was awaited before; keep its result instead")))
            return
        command.used = True
        if len(self.issued) >= MAX_COMMANDS:
            limit = f"a run has at most {MAX_COMMANDS} commands"
            self._ready.append((branch, None, WorkflowFailed(limit, kind="command_limit")))
            return
        try:
            arguments = orjson.loads(orjson.dumps(command.arguments, option=orjson.OPT_UTC_Z))
            decision = self._decide(command, arguments)
        except (TypeError, ValueError) as error:  # no plain data; requires something that has not ended
            self._ready.append((branch, None, type(error)(f"{command.step.verb} at {command.place}: {error}")))
            return
        path = branch.scope.path(command.step.verb, command.name, command.inside)
        undo = command.step.undo
        name = path[path.rfind("/") + 1 :]
        step = replace(command.step, name=name, line=command.place.line, requires=command.requires)
        if undo is not None:
            step = replace(step, undo=replace(undo, name=f"{name}/undo"))
        self.issued[path] = issued = Issued(path, step, decision, command.place, tuple(self._new_patches))
        self.new.append(issued)
        self._new_patches.clear()
        self._unissued.discard(path)
        self._waiting[path] = branch

    def _decide(self, command: Command, arguments: Mapping[str, Any]) -> Ready | Ended:
        for name in command.requires:
            state = self._states.get(name)
            if state is None:
                raise ValueError(f"it requires '{name}', which is no step that has ended")
            if not state.permits():
                return Ended("blocked", f"it requires '{name}', which ended {state.result}", labels=self.labels)
        return Ready(arguments, self.labels, command.needed)

    def _open(self, parent: Branch, gather: Gather[Any]) -> None:
        if gather.used:
            self._ready.append((parent, None, RuntimeError("this gather was awaited before; keep its results instead")))
            return
        gather.used = True
        scope = parent.scope
        if scope.depth >= MAX_NESTING:
            self._ready.append((parent, None, WorkflowFailed(f"gathers are nested at most {MAX_NESTING} deep")))
            return
        path = scope.path("gather", gather.name)
        group = Group(gather, parent, path, deque(), [None] * len(gather.branches), left=len(gather.branches))
        for index, awaitable in enumerate(gather.branches):
            inside = Scope(f"{path}[{index}]/", scope.depth + 1)
            group.waiting.append(self._branch(awaitable, inside, group, index))
        if not group.waiting:
            self._ready.append((parent, (), None))
        for _ in range(min(gather.at_once, len(group.waiting))):
            self._ready.append((group.waiting.popleft(), None, None))

    def _compose(self, parent: Branch, composed: Composed) -> None:
        """Begin what is made of steps: they are asked for in a scope that has its name."""
        if composed.used:
            again = f"this {composed.verb} was awaited before; keep its result instead"
            self._ready.append((parent, None, RuntimeError(again)))
            return
        composed.used = True
        scope = parent.scope
        branch = self._branch(composed.steps(), Scope(scope.path(composed.verb, composed.name), scope.depth))
        branch.parent = parent
        self._ready.append((branch, None, None))

    def _branch(self, awaitable: Any, scope: Scope, group: Group | None = None, index: int = 0) -> Branch:
        branch = Branch(coroutine_of(awaitable), scope, group, index)
        self._live.append(branch)
        return branch

    def _ended(self, branch: Branch, value: Any, failure: BaseException | None) -> None:
        self._live.remove(branch)
        if branch.parent is not None:
            self._ready.append((branch.parent, value, failure))
            return
        group = branch.group
        if group is None:
            self.finished = end_of(value, self._outcomes) if failure is None else as_step_error(failure)
            self.failed_step = failure.path if isinstance(failure, StepFailed) else None
            return
        group.left -= 1
        group.results[branch.index] = value if failure is None else failure
        if failure is not None:
            group.failed[branch.index] = failure
        if group.waiting:
            self._ready.append((group.waiting.popleft(), None, None))
        elif not group.left:
            first = None if group.gather.errors or not group.failed else group.failed[min(group.failed)]
            self._ready.append((group.parent, tuple(group.results) if first is None else None, first))
