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


def _read(value: str) -> dict[str, frozenset[str]]:
    found: dict[str, frozenset[str]] = {}
    for part in filter(None, (text.strip() for text in value.split(";"))):
        tool, colon, kinds = part.partition(":")
        if not colon or not tool.strip():
            raise NotProtectedError('@reveal is written as @reveal("TOOL: kinds; TOOL: kinds").')
        try:
            found[tool.strip()] = found.get(tool.strip(), frozenset()) | kinds_of(kinds)
        except SignoffError as error:
            raise NotProtectedError(str(error)) from None
    return found
