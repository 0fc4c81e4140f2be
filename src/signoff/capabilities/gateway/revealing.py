"""What a permit's `@reveal("mail.send: contact; crm.find: names, ids")` lets tools see of what `@tokenise` hides."""

from __future__ import annotations

from collections.abc import Collection, Sequence

from signoff.capabilities.gateway.chat_protection import MaySee, sees_nothing
from signoff.capabilities.gateway.model import ObligationLike
from signoff.capabilities.gateway.protection import NotProtectedError
from signoff.core.errors import SignoffError
from signoff.governance.privacy import kinds_of

REVEAL = "reveal"
"""The obligation's name."""


def may_see_of(obligations: Sequence[ObligationLike]) -> MaySee:
    """Which kinds each tool may see. Where several permits say so, a tool sees what all of them let it.

    Raises:
        NotProtectedError: it cannot be understood.
    """
    demanded = [_read(duty.value) for duty in obligations if duty.kind == REVEAL]
    if not demanded:
        return sees_nothing

    def may_see(tool: str) -> Collection[str]:
        first, *others = (one.get(tool, frozenset[str]()) for one in demanded)
        return first.intersection(*others)

    return may_see


def revealed_to(obligations: Sequence[ObligationLike], tool: str) -> Collection[str]:
    """Which kinds a permit of `tool.call` lets its tool see: `@reveal("contact")`, or with the tool's name before it.

    Raises:
        NotProtectedError: it cannot be understood.
    """
    seen: frozenset[str] | None = None
    for duty in obligations:
        if duty.kind != REVEAL:
            continue
        own = _read(duty.value).get(tool, frozenset[str]()) if ":" in duty.value else _kinds(duty.value)
        seen = own if seen is None else seen & own
    return seen or ()


def _kinds(text: str) -> frozenset[str]:
    try:
        return kinds_of(text)
    except SignoffError as error:
        raise NotProtectedError(str(error)) from None


def _read(value: str) -> dict[str, frozenset[str]]:
    found: dict[str, frozenset[str]] = {}
    for part in filter(None, (text.strip() for text in value.split(";"))):
        tool, colon, kinds = part.partition(":")
        if not colon or not tool.strip():
            raise NotProtectedError('@reveal is written as @reveal("TOOL: kinds; TOOL: kinds").')
        found[tool.strip()] = found.get(tool.strip(), frozenset()) | _kinds(kinds)
    return found
