"""The deployment's content filters, as the gateway asks them: rooms do not know each other, steps bind them."""

from __future__ import annotations

from collections.abc import Mapping

from signoff.capabilities.validation.filters import Filter, apply_filters
from signoff.catalog.answer_contracts import FilterUse


class DeploymentFilters:
    """Those that are installed.

    Args:
        filters: by name, instead of those.
    """

    def __init__(self, filters: Mapping[str, Filter] | None = None) -> None:
        self._filters = filters

    def objections(self, use: FilterUse, text: str, /) -> int:
        """To how much of a text a filter objects; see `ContentFilters`.

        Raises:
            StepError: kind `filter_failed`, it could not look.
        """
        results = apply_filters((use,), {"text": text}, self._filters).results
        return sum(len(result.reasons) for result in results)
