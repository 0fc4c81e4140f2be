"""Filters on what goes out: secrets, links, HTML, personal data, promises, insults. Local, each replaceable."""

from signoff.capabilities.validation.filters.model import Filter, FilterResult, Found
from signoff.capabilities.validation.filters.pipeline import (
    Filtered,
    apply_filters,
    default_filters,
    problems,
    told,
)

__all__ = ["Filter", "FilterResult", "Filtered", "Found", "apply_filters", "default_filters", "problems", "told"]
