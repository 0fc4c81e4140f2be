"""API keys: what is known of one, and its text form `so_<id>_<secret>`."""

from __future__ import annotations

import re
from dataclasses import dataclass
from datetime import datetime
from typing import Any
from uuid import UUID

from signoff.core.actors import Actor, ActorKind

ID_BYTES = 8
SECRET_BYTES = 32
"""256 random bits: beyond guessing, so a fast hash is enough to store them by."""
MAX_ROLES = 32
"""Roles of one key."""
MAX_LISTED_KEYS = 500
"""Keys in one list."""

_TEXT = re.compile(r"so_([0-9a-f]{16})_([0-9a-f]{64})", re.ASCII)
ACTOR_ID = re.compile(r"[A-Za-z0-9][A-Za-z0-9._@+-]{0,127}", re.ASCII)
TEAM = re.compile(r"[A-Za-z0-9][A-Za-z0-9._/-]{0,127}", re.ASCII)
ROLE = re.compile(r"[a-z][a-z0-9-]{0,62}", re.ASCII)


@dataclass(frozen=True, slots=True)
class Key:
    """An API key without its secret, which nobody can read back.

    Attributes:
        key_id: the public part of its text.
        kind: whether a person or a program signs in with it.
        actor_id: whose it is.
        roles: what its holder may act as.
        created_by: who made it, as `kind/id`.
        last_used_at: when it was last used, to the hour.
        team: whose limits its direct calls to models count in; empty for none.
    """

    org_id: UUID
    key_id: str
    kind: ActorKind
    actor_id: str
    roles: frozenset[str]
    created_at: datetime
    created_by: str
    expires_at: datetime | None = None
    revoked_at: datetime | None = None
    revoked_by: str | None = None
    last_used_at: datetime | None = None
    team: str = ""

    @property
    def actor(self) -> Actor:
        """Who acts when this key is shown."""
        return Actor(self.org_id, self.kind, self.actor_id, self.roles, self.team)

    def as_dict(self) -> dict[str, Any]:
        """The key for JSON; times in ISO 8601."""
        return {
            "key_id": self.key_id,
            "kind": self.kind,
            "actor_id": self.actor_id,
            "roles": sorted(self.roles),
            "team": self.team,
            "created_at": self.created_at.isoformat(),
            "created_by": self.created_by,
            "expires_at": self.expires_at.isoformat() if self.expires_at else None,
            "revoked_at": self.revoked_at.isoformat() if self.revoked_at else None,
            "revoked_by": self.revoked_by,
            "last_used_at": self.last_used_at.isoformat() if self.last_used_at else None,
        }


def key_text(key_id: str, secret: bytes) -> str:
    """The text that a holder shows. The prefix lets scanners find leaked keys."""
    return f"so_{key_id}_{secret.hex()}"


def read_key_text(text: str) -> tuple[str, bytes] | None:
    """The id and secret of a shown text, or none where it is no key."""
    match = _TEXT.fullmatch(text)
    return (match[1], bytes.fromhex(match[2])) if match else None
