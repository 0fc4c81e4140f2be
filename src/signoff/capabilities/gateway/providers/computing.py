"""What local models that compute in threads share: one queue each, no library before it is needed, limits on input."""

from __future__ import annotations

import asyncio
import base64
import binascii
import sys
import threading
from abc import ABC, abstractmethod
from collections.abc import AsyncGenerator, Callable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import asynccontextmanager
from importlib import import_module
from typing import Any, ClassVar

import orjson

from signoff.capabilities.gateway.provider import ProviderError, ProviderReply, ProviderRequest
from signoff.catalog.models import LOCAL_LIMITS, ModelSpec

MAX_WAITING = 16
"""Calls of one kind that may wait in a process for its one thread; more are told to come back."""
BUSY_RETRY_S = 2.0
"""What they are told to wait, in seconds."""
TURNS = 2
"""Calls of one provider that are let in at once: one runs and the next one stands ready."""


class Patience:
    """How long somebody waits for an answer.

    Args:
        timeout_s: the gateway waits so long, in seconds.
    """

    def __init__(self, timeout_s: float) -> None:
        self.timeout_s = timeout_s
        self._left = threading.Event()

    def leave(self) -> None:
        """Nobody waits any more."""
        self._left.set()

    def check(self) -> None:
        """Go on only while somebody waits. Asked between pieces of work: one piece cannot be broken off.

        Raises:
            ProviderError: nobody does; nobody will see it either.
        """
        if self._left.is_set():
            raise ProviderError("timeout", "Nobody waits for the answer any more.")


class Queue:
    """The one thread of a kind in this process: models that use all cores gain nothing from running side by side."""

    def __init__(self, name: str) -> None:
        self._thread = ThreadPoolExecutor(1, thread_name_prefix=name)
        self._waiting = 0

    async def run(self, work: Callable[[], Any]) -> Any:
        """What the work gives. A cancelled call that waits never begins.

        Raises:
            ProviderError: too many wait.
        """
        if self._waiting >= MAX_WAITING:
            raise ProviderError("unavailable", "The local model is busy.", retry_after_s=BUSY_RETRY_S)
        self._waiting += 1
        try:
            return await asyncio.wrap_future(self._thread.submit(work))
        finally:
            self._waiting -= 1


_QUEUES: dict[str, Queue] = {}


class Computed(ABC):
    """A provider of one task that is computed in this process.

    Attributes:
        name: the provider kind.
        task: what it does.
        needs: libraries that are imported before a call's time runs, each with the extra that brings it.
    """

    name: ClassVar[str]
    task: ClassVar[str]
    needs: ClassVar[Sequence[tuple[str, str]]] = ()
    local = True
    repairable = False

    def __init__(self, spec: ModelSpec) -> None:
        self._spec = spec
        self._turns = asyncio.Semaphore(TURNS)

    @property
    def tasks(self) -> frozenset[str]:
        """Its one task."""
        return frozenset({self.task})

    @asynccontextmanager
    async def turn(self) -> AsyncGenerator[None]:
        """Entered when it can take a call, its libraries loaded: the first time that takes seconds.

        Raises:
            ProviderError: `setup`: one is not installed; `unavailable`: too many wait.
        """
        async with self._turns:
            if not all(module in sys.modules for module, _ in self.needs):
                await self._queue().run(self._load)
            yield

    def _load(self) -> None:
        for module, extra in self.needs:
            library(module, extra)

    def _queue(self) -> Queue:
        return _QUEUES.setdefault(self.name, Queue(self.name))

    def limit(self, key: str) -> int:
        """How much it may be given, as `models.yaml` sets it or by default.

        Raises:
            ProviderError: `setup`: what is set is no such number.
        """
        default, highest = LOCAL_LIMITS[self.name][key]
        value = self._spec.settings.get(key, default)
        if isinstance(value, bool) or not isinstance(value, int) or not 1 <= value <= highest:
            raise ProviderError("setup", f"'{key}' of {self._spec.name} must be a whole number from 1 to {highest}.")
        return value

    async def complete(self, request: ProviderRequest) -> ProviderReply:
        """The answer as JSON.

        Raises:
            ProviderError: `cannot`: another task; `rejected`: the values are too large or do not fit each other;
                `setup`: what computes it is not on this machine; `unavailable`: too many wait.
        """
        if request.task != self.task:
            raise ProviderError("cannot", f"{self.name} does '{self.task}' only.")
        patience = Patience(request.timeout_s)
        try:
            answer = await self._queue().run(lambda: self._begin(request.variables, patience))
        finally:
            patience.leave()
        return ProviderReply(orjson.dumps(answer).decode())

    def _begin(self, values: Mapping[str, Any], patience: Patience) -> Mapping[str, Any]:
        patience.check()
        try:
            return self.answer(values, patience)
        except ProviderError:
            raise
        except Exception as error:  # noqa: BLE001  (libraries raise anything on odd numbers and broken files)
            detail = f"{self.name} cannot take these values ({type(error).__name__})."
            raise ProviderError("rejected", detail) from None

    @abstractmethod
    def answer(self, values: Mapping[str, Any], patience: Patience) -> Mapping[str, Any]:
        """The answer to values that meet the kind's contract, computed in the calling thread.

        Raises:
            ProviderError: there is none.
        """

    async def embed(self, texts: Sequence[str]) -> Sequence[Sequence[float]]:  # noqa: ARG002  (the protocol's signature)
        """Never.

        Raises:
            ProviderError: always.
        """
        raise ProviderError("cannot", f"{self.name} does '{self.task}' only.")

    async def aclose(self) -> None:  # noqa: B027  (the protocol's; there is nothing to override)
        """Nothing to give back: what was loaded stays for others."""


def library(module: str, extra: str) -> Any:
    """A library that is an extra of this package.

    Raises:
        ProviderError: `setup`: it is not installed; it says what to install.
    """
    try:
        return import_module(module)
    except ImportError:
        detail = f"It needs {module.partition('.')[0]}, which is not installed: pip install 'signoff[{extra}]'."
        raise ProviderError("setup", detail) from None


def bytes_of(content: str) -> bytes:
    """The bytes of a file as a step gives them.

    Raises:
        ProviderError: `rejected`: they are no base64.
    """
    try:
        return base64.b64decode(content, validate=True)
    except (binascii.Error, ValueError):
        raise ProviderError("rejected", "'content' is not base64 (RFC 4648, section 4).") from None


def rounded(value: float) -> float:
    """As many digits as such a figure may claim."""
    return float(f"{value:.10g}")


def same_length(rows: Sequence[Sequence[Any]], what: str) -> int:
    """How long all rows are.

    Raises:
        ProviderError: `rejected`: some row is longer or shorter.
    """
    lengths = {len(row) for row in rows}
    if len(lengths) > 1:
        raise ProviderError("rejected", f"The rows of '{what}' have different lengths: {sorted(lengths)[:5]}.")
    return lengths.pop()
