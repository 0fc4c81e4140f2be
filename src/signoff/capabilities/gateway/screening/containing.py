"""What a permit's `@contain("docs.example.com, canary:Kestrel-7391")` demands of an answer before anybody sees it."""

from __future__ import annotations

from collections.abc import Sequence

from signoff.capabilities.gateway.model import ObligationLike
from signoff.capabilities.gateway.protection import NotProtectedError
from signoff.core.values import value
from signoff.governance.injection.canaries import MIN_CANARY_CHARACTERS

CONTAIN = "contain"
"""The obligation's name."""
_CANARY = "canary:"


@value
class Containment:
    """Where an answer may lead.

    Attributes:
        hosts: that its addresses may name; `*.example.org` is what is below `example.org`.
        canaries: marks that no honest answer has.
    """

    hosts: frozenset[str]
    canaries: frozenset[str]


def containment_of(obligations: Sequence[ObligationLike]) -> Containment | None:
    """What all of them together demand; none where none does. A host is known only if each of them knows it.

    Raises:
        NotProtectedError: a canary is too short to be told from ordinary words.
    """
    hosts: frozenset[str] | None = None
    canaries: set[str] = set()
    for duty in obligations:
        if duty.kind != CONTAIN:
            continue
        words = [word.strip() for word in duty.value.split(",") if word.strip()]
        own = frozenset(word.lower() for word in words if not word.startswith(_CANARY))
        canaries |= {word.removeprefix(_CANARY) for word in words if word.startswith(_CANARY)}
        hosts = own if hosts is None else hosts & own
    if hosts is None:
        return None
    if any(len(canary) < MIN_CANARY_CHARACTERS for canary in canaries):
        raise NotProtectedError(f"A canary of @contain has fewer than {MIN_CANARY_CHARACTERS} characters.")
    return Containment(hosts, frozenset(canaries))
