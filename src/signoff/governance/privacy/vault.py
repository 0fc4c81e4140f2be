"""A run's vault: values that were taken out for a model, found again by their tokens as long as the run is kept.

It is on the disk before a model is shown a token, so that whichever worker goes on with the run finds it.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from typing import TypeVar
from uuid import UUID
from weakref import WeakValueDictionary

import orjson

from signoff.core.errors import LimitError, UnavailableError
from signoff.foundation.database import Database
from signoff.governance.privacy import store
from signoff.governance.privacy.redaction import Tokens
from signoff.governance.privacy.sealing import VaultKeys

MAX_VALUES = 10_000
"""Values that one vault keeps."""
MAX_BYTES = 8_388_608
"""Their size with their tokens, in bytes."""
MAX_TRIES = 50
"""How often another one's new values are read before it is given up: each time somebody else got on."""

Result = TypeVar("Result")


class Vault:
    """Of one run.

    Args:
        database: where it is kept.
        org_id: whose run it is.
        run_id: the run; of one that continues others, the first of them.
        own_id: the run itself, where the first is gone.
        lock: lets one at a time of this process add values.
        keys: what encrypts it.
    """

    def __init__(
        self, database: Database, org_id: UUID, run_id: UUID, own_id: UUID, lock: asyncio.Lock, *, keys: VaultKeys
    ) -> None:
        self._database = database
        self._keys = keys
        self._org_id = org_id
        self._run_id = run_id
        self._own_id = own_id
        self._root: UUID | None = None
        self._lock = lock

    async def sealing(self, work: Callable[[Tokens], Awaitable[Result]]) -> Result:
        """What `work` gives. Values for which it makes tokens are on the disk before this returns.

        `work` may be called again, with what another one has added meanwhile.

        Raises:
            LimitError: there are too many values.
            UnavailableError: the database is away, or others add values all the time.
        """
        async with self._lock:
            for _ in range(MAX_TRIES):
                tokens, version = await self._read()
                before = len(tokens)
                result = await work(tokens)
                if len(tokens) == before or await self._kept(tokens, version):
                    return result
        raise UnavailableError("Others add values to this run's vault all the time; try again.")

    async def tokens(self) -> Tokens:
        """All that it keeps."""
        return (await self._read())[0]

    async def _read(self) -> tuple[Tokens, int]:
        async with self._database.worker_connection() as connection:
            if self._root is None:
                for run_id in (self._run_id, self._own_id):
                    self._root = self._root or await connection.fetchval(store.ROOT, self._org_id, run_id)
            row = await connection.fetchrow(store.READ, self._org_id, self._root)
        if row is None:
            return Tokens(), 0
        data = self._keys.opened(row["key_id"], row["tokens"], self._bound(row["nonce"]))
        return Tokens.kept(row["nonce"], orjson.loads(data)), row["version"]

    async def _kept(self, tokens: Tokens, version: int) -> bool:
        key_id, data = self._keys.sealed(orjson.dumps(tokens.values), self._bound(tokens.nonce))
        if len(tokens) > MAX_VALUES or len(data) > MAX_BYTES:
            raise LimitError(f"A run's vault keeps at most {MAX_VALUES:,} values and {MAX_BYTES:,} bytes.")
        async with self._database.worker_connection() as connection:
            if not version:
                made = await connection.fetchval(store.MAKE, self._org_id, self._root, tokens.nonce, data, key_id)
            else:
                made = await connection.fetchval(store.KEEP, self._org_id, self._root, version, data, key_id)
        return made is not None

    def _bound(self, nonce: str) -> bytes:
        """What it is encrypted for: a fork's copy has the same, another organisation's row has not."""
        return self._org_id.bytes + nonce.encode()


class Vaults:
    """Of all runs of a process: one adds values to a run's vault at a time.

    Args:
        keys: what encrypts them; none leaves them as they are.
    """

    def __init__(self, keys: VaultKeys | None = None) -> None:
        self._keys = keys or VaultKeys()
        self._locks: WeakValueDictionary[UUID, asyncio.Lock] = WeakValueDictionary()

    def of(self, database: Database, org_id: UUID, run_id: UUID, chain_id: UUID | None = None) -> Vault:
        """A run's vault; nothing is read yet.

        Args:
            database: where it is kept.
            org_id: whose run it is.
            run_id: the run.
            chain_id: the first of the runs that it continues.
        """
        first = chain_id or run_id
        lock = self._locks.get(first)
        if lock is None:
            lock = self._locks[first] = asyncio.Lock()
        return Vault(database, org_id, first, run_id, lock, keys=self._keys)
