"""Who shows a key, known for a moment: asking the database took longer than everything else of a short call.

A key that is revoked opens the door to models for that moment longer, as a policy that changes does; every other
route asks each time.
"""

from __future__ import annotations

import hashlib
from collections import OrderedDict

from signoff.core.actors import Actor
from signoff.core.clock import Clock
from signoff.core.errors import UnauthenticatedError
from signoff.foundation.database import DEFAULT_ORG_ID, Database
from signoff.governance.identity import authenticate

MARK_BYTES = 32
"""Of a key's digest: of BLAKE2, which is made in a fraction of the time that setting up OpenSSL's takes."""
MAX_KEYS = 1_024
"""How many keys are known at once, the most recently used ones."""


class KnownKeys:
    """The keys that were shown lately.

    Args:
        database: where keys are.
        clock: by which keys expire.
        fresh_s: for how long a key is known, in seconds.
    """

    def __init__(self, database: Database, clock: Clock, *, fresh_s: float) -> None:
        self._database = database
        self._clock = clock
        self._fresh_s = fresh_s
        self._known: OrderedDict[bytes, tuple[float, Actor]] = OrderedDict()

    async def actor(self, text: str) -> Actor:
        """Who shows this key.

        Raises:
            UnauthenticatedError: there is none, or it is unknown, wrong, revoked or expired.
        """
        if not text:
            raise UnauthenticatedError(
                "Show an API key as the SDK's api_key: 'Authorization: Bearer so_…' or 'x-api-key: so_…'."
                " 'signoff keys create' makes one."
            )
        # The digest, so that no second place holds keys that open doors.
        mark, now_s = hashlib.blake2b(text.encode(), digest_size=MARK_BYTES).digest(), self._clock.monotonic_s()
        known = self._known.get(mark)
        if known is not None and now_s - known[0] < self._fresh_s:
            return known[1]
        async with self._database.transaction(DEFAULT_ORG_ID) as connection:
            actor = await authenticate(connection, text, now=self._clock.now())
        self._known[mark] = (now_s, actor)
        self._known.move_to_end(mark)
        if len(self._known) > MAX_KEYS:
            self._known.popitem(last=False)
        return actor
