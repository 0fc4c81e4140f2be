"""Several databases for one test, each with workers of its own: kill points that do not wait for each other."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import ExitStack

import pytest
from support.databases import Databases

LANES = 4


@pytest.fixture
def lane_urls(databases: Databases) -> Iterator[list[str]]:
    """The URLs of that many migrated databases."""
    with ExitStack() as stack:
        yield [stack.enter_context(databases.fresh()) for _ in range(LANES)]
