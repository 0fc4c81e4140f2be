"""What a workflow's context asks of whoever runs it."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime
from typing import Any, Protocol
from uuid import UUID


class Host(Protocol):
    """What the context asks of the driver that runs its workflow."""

    run_id: UUID
    now: datetime

    def noise(self) -> bytes:
        """32 bytes from the run's id and this place of the workflow: the same whenever it is run again."""
        ...

    def patched(self, name: str) -> bool:
        """Whether this run has that change."""
        ...

    def note(self, attributes: Mapping[str, Mapping[str, Any]]) -> None:
        """What the run is searched by from here on: type and value by name."""
        ...
