"""The verbs of the context that are made of steps: `agent` and `plan`."""

from __future__ import annotations

from collections.abc import Mapping
from functools import partial
from typing import Any

from signoff.workflows.model import Step
from signoff.workflows.plans import QUESTION
from signoff.workflows.python import composed
from signoff.workflows.python.commands import Composed
from signoff.workflows.python.composed import Composition
from signoff.workflows.python.host import Host
from signoff.workflows.python.making import Requires, paths_of, place_at, step_of
from signoff.workflows.python.offered import Offers, offered_of
from signoff.workflows.python.options import Duration, count_of, escalate_of, name_of, role_of, seconds_of
from signoff.workflows.verbs import (
    DEFAULT_AGENT_CALLS,
    DEFAULT_AGENT_ERRORS,
    DEFAULT_AGENT_TURNS,
    DEFAULT_PLAN_STEPS,
    MAX_AGENT_CALLS,
    MAX_AGENT_TURNS,
    MAX_PLAN_STEPS,
)


class ComposingVerbs:
    """Verbs that are made of the steps that there are."""

    __slots__ = ("_host",)

    def __init__(self, host: Host) -> None:
        self._host = host

    def agent(
        self,
        prompt: str,
        with_: Mapping[str, Any] | None = None,
        *,
        tools: Offers,
        max_turns: int = DEFAULT_AGENT_TURNS,
        max_calls: int = DEFAULT_AGENT_CALLS,
        max_errors: int = DEFAULT_AGENT_ERRORS,
        name: str | None = None,
        requires: Requires = (),
        retry: Mapping[str, Any] | None = None,
        timeout: Duration | None = None,
    ) -> Composed:
        """A model chooses calls of these tools, turn by turn, until it answers. Gives its answer.

        An entry of `tools` is a tool's name, `{"tool": …, "with": {…}}` with arguments that are not the model's to
        choose, or `{"retrieve": …, "top": …}`. `retry` is that of each turn's model; `timeout` is looked at before each
        turn and call.
        """
        bounds = {
            "max_turns": count_of("max_turns", max_turns, MAX_AGENT_TURNS),
            "max_calls": count_of("max_calls", max_calls, MAX_AGENT_CALLS),
            "max_errors": count_of("max_errors", max_errors, MAX_AGENT_CALLS),
        }
        made = _composition(prompt, with_, tools, bounds, requires, retry, timeout)
        return Composed("agent", partial(composed.agent, made, self._host), name=name_of(name))

    def plan(
        self,
        prompt: str,
        with_: Mapping[str, Any] | None = None,
        *,
        tools: Offers,
        max_steps: int = DEFAULT_PLAN_STEPS,
        by: str | None = None,
        expire: Duration | None = None,
        escalate: Mapping[str, Any] | None = None,
        name: str | None = None,
        requires: Requires = (),
        retry: Mapping[str, Any] | None = None,
        timeout: Duration | None = None,
    ) -> Composed:
        """A model writes which calls to make; where there is a `by`, that role approves it; then they are made.

        Gives the fields of the prompt's output and `results`, of each call `tool` and `output`. A plan that is not
        approved raises StepBlocked, and the first call that fails its StepFailed.
        """
        bounds = {"max_steps": count_of("max_steps", max_steps, MAX_PLAN_STEPS)}
        approval = _approval(by, expire, escalate)
        made = _composition(prompt, with_, tools, bounds, requires, retry, timeout, approval)
        return Composed("plan", partial(composed.plan, made, self._host), name=name_of(name))


def _composition(  # noqa: PLR0917  (what both verbs have)
    prompt: str,
    variables: Mapping[str, Any] | None,
    tools: Offers,
    bounds: Mapping[str, int],
    requires: Requires,
    retry: Mapping[str, Any] | None,
    timeout: Duration | None,
    approval: Step | None = None,
) -> Composition:
    offers = offered_of(tools)
    settings = {**bounds, "tools": {name: offer.setting for name, offer in offers.items()}}
    return Composition(
        step_of("ai", prompt, settings, retry=retry),
        dict(variables or {}),
        offers,
        place_at(3),
        paths_of(requires),
        None if timeout is None else seconds_of(timeout, "timeout"),
        approval,
    )


def _approval(by: str | None, expire: Duration | None, escalate: Mapping[str, Any] | None) -> Step | None:
    """The review that a plan waits for; none where nobody is asked.

    Raises:
        ValueError: it has an approval's keys, and nobody to ask.
    """
    if by is None:
        if expire is not None or escalate is not None:
            raise ValueError("'expire' and 'escalate' are of an approval, and nobody is asked for one: write 'by'")
        return None
    settings: dict[str, Any] = {"by": role_of(by, "by"), "editable": ()}
    expire_s = None if expire is None else seconds_of(expire, "expire")
    if expire_s is not None:
        settings["expire"] = expire_s
    if escalate is not None:
        settings["escalate"] = escalate_of(escalate, expire_s)
    return step_of("review", QUESTION, settings)
