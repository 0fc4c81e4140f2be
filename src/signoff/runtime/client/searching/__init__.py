"""Search: runs by a filter, over btree indexes that row-level security leaves in use."""

from signoff.runtime.client.searching.find import (
    EVERY_RUN,
    each_run,
    find_runs,
    list_runs,
    with_equal,
)
from signoff.runtime.client.searching.grammar import FILTER_CHARS, Condition, RunFilter, parse_filter

__all__ = [
    "EVERY_RUN",
    "FILTER_CHARS",
    "Condition",
    "RunFilter",
    "each_run",
    "find_runs",
    "list_runs",
    "parse_filter",
    "with_equal",
]
