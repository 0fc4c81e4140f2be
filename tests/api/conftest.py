from __future__ import annotations

from collections.abc import AsyncIterator

import pytest
from support.api_cases import Api, deployed, serving

from signoff.foundation.database import Database


@pytest.fixture
async def api(database: Database) -> AsyncIterator[Api]:
    """The API over the test's own database, with the small project deployed."""
    await deployed(database)
    async with serving(database) as running:
        yield running
