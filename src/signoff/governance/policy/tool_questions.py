"""The question of every tool call, as few words as its answer depends on.

A worker asks it with each try of each step, and nearly always it has asked the same before. To write the whole context
out, only to find that, took a quarter of what a step with an effect costs. So a question is told apart by what
`tool_request` makes its request of, and the request is made where the answer is not remembered.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import field
from typing import Any

from signoff.core.fresh import fresh_dict
from signoff.core.labels import Labels
from signoff.core.values import value
from signoff.governance.policy.model import PolicyRequest
from signoff.governance.policy.requests import tool_request
from signoff.governance.policy.values import ESCAPES, LONG, MAX_TEXT_CHARACTERS
from signoff.runtime.handlers import Approval, RunFacts

_WORST_BYTES = 6
"""What one character of ASCII takes in JSON at most, as `\\u0007` does."""
_AROUND_BYTES = 32
"""What a name, a number and the signs around a member take besides its characters at most."""

_TEXT, _TRUTH, _NUMBER = str, bool, int


@value
class ToolQuestion:
    """May this run call that tool? The arguments of `tool_request`, which says what they are."""

    run: RunFacts
    tool: str
    effect: str
    arguments: Mapping[str, Any]
    labels: Labels
    argument_labels: Mapping[str, Labels] = field(default_factory=fresh_dict)
    approvals: tuple[Approval, ...] = ()
    environment: str = "dev"

    def request(self) -> PolicyRequest:
        """The question as policies get to see it."""
        return tool_request(
            self.run,
            tool=self.tool,
            effect=self.effect,
            arguments=self.arguments,
            labels=self.labels,
            argument_labels=self.argument_labels,
            approvals=self.approvals,
            environment=self.environment,
        )

    def told_apart(self, read: frozenset[str] | None) -> tuple[tuple[Any, ...], int] | None:
        """What the answer depends on, and at most how many bytes of its arguments no policy reads.

        All that `tool_request` looks at is in it, but for the values of arguments outside `read`, of which it only
        looks whether Cedar can represent them. Where that is not seen at once, or there are approvals, there is none:
        such a question is rare, and told apart by its whole request.

        Args:
            read: the arguments that policies read; none where they may read any.
        """
        if self.approvals:
            return None
        run, labels, own, unread_bytes = self.run, self.labels, self.argument_labels, 0
        asked_by = run.started_by
        found: list[Any] = [
            asked_by.kind,
            asked_by.id,
            asked_by.roles,
            run.workflow,
            run.version,
            run.risk,
            self.environment,
            self.tool,
            self.effect,
            # Sums, as the hash of a member of an enumeration is a function of its own.
            labels.data_class + 0,
            labels.trust + 0,
            labels.residency,
        ]
        for name, given in self.arguments.items():
            kind, label = given.__class__, own.get(name, labels) if own else labels
            if kind is _TEXT:
                if len(given) > MAX_TEXT_CHARACTERS or not given.isascii():
                    return None
                size_bytes = len(given) * _WORST_BYTES
            elif kind is _TRUTH or (kind is _NUMBER and -LONG <= given < LONG):
                size_bytes = 0
            else:
                return None
            if name in ESCAPES or len(name) > MAX_TEXT_CHARACTERS or not name.isascii():
                return None
            found += (name, label.trust + 0, label.data_class + 0)
            if read is None or name in read:
                found += (kind, given)  # with its kind, as 1 equals true
            else:
                found.append(None)
                unread_bytes += size_bytes + len(name) * _WORST_BYTES + _AROUND_BYTES
        return tuple(found), unread_bytes
