"""Who acts: a person, an API key, or the system itself."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Literal
from uuid import UUID

ActorKind = Literal["user", "key", "system"]


@dataclass(frozen=True, slots=True)
class Actor:
    """A principal in one organisation.

    Attributes:
        org_id: the organisation, which every row it touches belongs to.
        kind: a person (`user`), a program's API key (`key`), or Signoff itself (`system`).
        id: its stable name within the organisation (`ana@example.com`, `ci`, `scheduler`).
        roles: names such as `support-lead`, without the `role/` prefix that documents use.
        team: whom its direct calls to models count for; empty for none.
    """

    org_id: UUID
    kind: ActorKind
    id: str
    roles: frozenset[str] = frozenset()
    team: str = ""

    def as_dict(self) -> dict[str, Any]:
        """The actor for JSON, without the organisation, which the row carries."""
        known = {"kind": self.kind, "id": self.id, "roles": sorted(self.roles)}
        return {**known, "team": self.team} if self.team else known

    @staticmethod
    def from_dict(org_id: UUID, data: dict[str, Any]) -> Actor:
        """The actor that `as_dict` wrote."""
        return Actor(org_id, data["kind"], data["id"], frozenset(data.get("roles", ())), data.get("team", ""))

    def __str__(self) -> str:
        return f"{self.kind}/{self.id}"
