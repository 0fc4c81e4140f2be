"""A process that asks for room as often as it can: run as a program by the test of limits over many processes.

It prints how many calls were let through. Its arguments: the database's URL, the team, how many calls to try, of what
at once, whether each is settled as used, and the limit.
"""

from __future__ import annotations

import asyncio
import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parent.parent))

from support.limit_cases import MODEL, MONTH, ONE_CALL, asked, estimate, ledger

from signoff.capabilities.gateway.asking import LimitReached
from signoff.catalog.model_limits import ModelLimit
from signoff.foundation.database import Database
from signoff.foundation.settings import DatabaseSettings


async def main(url: str, team: str, tries: int, at_once: int, most: int) -> int:
    """How many calls were let through."""
    limits = [ModelLimit("project", "requests", most, MONTH), ModelLimit("team", "micro_usd", most * 100, MONTH)]
    async with await Database.open(DatabaseSettings(url=url, app_pool_size=1, worker_pool_size=2)) as database:
        book = ledger(database, *limits)
        found = 0

        async def one() -> None:
            nonlocal found
            for _ in range(tries):
                try:
                    admission = await book.admit(asked(team), MODEL, estimate(tokens=15, cost=100))
                except LimitReached:
                    return
                found += 1
                await admission.settle(ONE_CALL)

        await asyncio.gather(*(one() for _ in range(at_once)))
        await book.aclose()
        return found


if __name__ == "__main__":
    print(asyncio.run(main(sys.argv[1], sys.argv[2], *(int(text) for text in sys.argv[3:6]))))
