"""What is looked for in texts that leave: in the arguments of tools, in the data of events."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import field

from signoff.catalog.answer_contracts import FilterUse
from signoff.catalog.tools import ToolContract
from signoff.core.values import value


@value
class OutgoingFilters:
    """The filters that `signoff.yaml` declares.

    Attributes:
        default: of every tool with an effect and of every event.
        events: of events, by type.
    """

    default: tuple[FilterUse, ...] = ()
    events: Mapping[str, tuple[FilterUse, ...]] = field(default_factory=dict[str, tuple[FilterUse, ...]])

    def of_tool(self, tool: ToolContract) -> tuple[FilterUse, ...]:
        """What a call of a tool goes through; one that only reads has no more than its contract says."""
        return _over(self.default, tool.filters) if tool.effect else tool.filters

    def of_event(self, event_type: str) -> tuple[FilterUse, ...]:
        """What an event of that type goes through."""
        return _over(self.default, self.events.get(event_type, ()))


def _over(default: tuple[FilterUse, ...], own: tuple[FilterUse, ...]) -> tuple[FilterUse, ...]:
    """What is declared nearer replaces the project's filter of that name; one for a single field only adds to it."""
    if not default:
        return own
    whole = {use.name for use in own if use.output_field is None}
    return (*(use for use in default if use.name not in whole), *own)
