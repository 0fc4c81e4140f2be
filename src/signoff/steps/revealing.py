"""What a tool's permit lets it see of a run's vault: put into its arguments for one call, taken out of its answer."""

from __future__ import annotations

from collections.abc import AsyncGenerator, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass, field, replace
from typing import Any, cast
from urllib.parse import quote, quote_plus

import orjson

from signoff.capabilities.gateway.protection import NotProtectedError
from signoff.capabilities.gateway.revealing import revealed_to
from signoff.capabilities.gateway.screening.incoming import texts_of
from signoff.core.errors import Problem, StepError
from signoff.governance.policy import Decision
from signoff.governance.privacy import Tokens, mapped
from signoff.governance.privacy.redaction import TOKEN
from signoff.runtime.handlers import StepCall
from signoff.steps.services import Services

REVEALED = "vault.revealed"
"""The fact that a tool was shown values: of which kinds, and how many; never the values."""

_WITHOUT_TEXT = (int, float, type(None))


@dataclass(frozen=True, slots=True)
class Revealed:
    """Arguments as a tool may see them.

    Attributes:
        arguments: with the values that it may see.
        kinds: of those values.
        hidden: each value as it may come back, and its token.
    """

    arguments: Mapping[str, Any]
    kinds: tuple[str, ...] = ()
    hidden: Mapping[str, str] = field(default_factory=dict[str, str])

    def concealed(self, value: Any) -> Any:
        """A JSON value without the values that were shown."""
        return mapped(value, self._told) if self.hidden else value

    @asynccontextmanager
    async def told(self) -> AsyncGenerator[None]:
        """What the block fails with has no value in it.

        Raises:
            StepError: as the block does.
        """
        try:
            yield
        except StepError as error:
            if not self.hidden:
                raise
            error.detail = self._told(error.detail)
            error.args = (error.detail,)
            error.problems = tuple(self._problem(problem) for problem in error.problems)
            error.members = self.concealed(error.members)
            # Not chained: what it came from has the values.
            raise error.with_traceback(None) from None

    def _problem(self, problem: Problem) -> Problem:
        suggestion = None if problem.suggestion is None else self._told(problem.suggestion)
        pointer = None if problem.pointer is None else self._told(problem.pointer)
        return replace(problem, detail=self._told(problem.detail), suggestion=suggestion, pointer=pointer)

    def _told(self, text: str) -> str:
        for value, token in self.hidden.items():
            text = text.replace(value, token)
        return text


def has_tokens(arguments: Mapping[str, Any]) -> bool:
    """Whether any text of them has what may be a token."""
    # Asked with every call, and most often answered by the first look, which is a third of what all texts would take.
    for name, member in arguments.items():
        if "[" in name or ("[" in member if isinstance(member, str) else _has_bracket(member)):
            return any(TOKEN.search(text) is not None for text in texts_of(arguments))
    return False


def _has_bracket(value: Any) -> bool:
    if isinstance(value, dict):
        for name, member in cast("dict[str, Any]", value).items():
            if "[" in name or ("[" in member if isinstance(member, str) else _has_bracket(member)):
                return True
        return False
    return not isinstance(value, _WITHOUT_TEXT)  # a list or the like is rare: then all texts are looked at


async def revealed(call: StepCall, arguments: Mapping[str, Any], decision: Decision, services: Services) -> Revealed:
    """The arguments as the permit of `tool.call` lets the tool see them; others keep their tokens.

    Args:
        call: the step.
        arguments: with tokens in them.
        decision: policy's permit.
        services: where the vault is.

    Raises:
        StepError: kind `forbidden`, the permit's `@reveal` cannot be understood.
    """
    try:
        kinds = revealed_to(decision.obligations, call.step.target)
    except NotProtectedError as error:
        raise StepError(f"Denied: {decision.about} ({error})", kind="forbidden") from None
    if not kinds:
        return Revealed(arguments)
    tokens = await services.vault_of(call).tokens()
    seen = {token for text in texts_of(arguments) for token in tokens.values if token in text and _kind(token) in kinds}
    shown = mapped(arguments, lambda text: tokens.restored(text, kinds))
    return Revealed(shown, tuple(sorted({_kind(token) for token in seen})), _hidden(tokens, seen))


def _hidden(tokens: Tokens, seen: set[str]) -> dict[str, str]:
    """The values in the forms in which programs say them back, the longest first."""
    found: dict[str, str] = {}
    for token in seen:
        value = tokens.values[token]
        for form in (value, quote(value), quote(value, safe=""), quote_plus(value), orjson.dumps(value)[1:-1].decode()):
            found[form] = token
    return dict(sorted(found.items(), key=lambda item: -len(item[0])))


def _kind(token: str) -> str:
    return token[1:].rsplit("_", 2)[0]
