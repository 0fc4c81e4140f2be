"""Python tools: functions of the release itself.

They are the project's own code, trusted like the worker and not sandboxed; whoever may register a release may run code.
Each release's files are imported under a package name made from their hash, so that two releases in one worker never
share a module, and a run keeps the code that it pinned.
"""

from __future__ import annotations

import asyncio
import importlib
import inspect
import sys
import threading
from collections.abc import Awaitable, Callable, Mapping
from contextlib import suppress
from dataclasses import field
from typing import Any, cast

from signoff.capabilities.tools.failures import broken_answer, misconfigured, timed_out
from signoff.capabilities.tools.model import ToolSettings
from signoff.capabilities.tools.secrets import mask_secrets
from signoff.catalog.modules import ReleaseModules, Sources, python_files
from signoff.catalog.tools import PythonCall, ToolContract
from signoff.core.errors import StepError
from signoff.core.fresh import fresh_dict
from signoff.core.values import value
from signoff.core.waiting import begun, resumed
from signoff.foundation.logging import mask_credentials

MAX_MESSAGE_CHARACTERS = 300
"""How much of a tool's exception text an error repeats."""

_PACKAGE = "signoff_release_"

ToolFunction = Callable[[dict[str, Any]], Any]


class PythonTools:
    """Loads and calls Python tools. Synchronous functions run in threads of their own, a bounded number at once."""

    def __init__(self, settings: ToolSettings) -> None:
        self._settings = settings
        self._threads = asyncio.Semaphore(settings.max_threads)
        self._modules = ReleaseModules(_PACKAGE, settings.max_releases)
        self._loaded: set[str] = set()
        self._loading: dict[str, asyncio.Lock] = {}
        self._code: dict[int, _Code] = {}
        self._writing: dict[str, set[asyncio.Future[None]]] = {}

    def close(self) -> None:
        """Forget every loaded release."""
        self._modules.close()
        self._code.clear()

    async def quiet(self, idempotency_key: str) -> None:
        """Return once no thread of this worker is in a write with that key, also of calls that gave up waiting."""
        while running := self._writing.get(idempotency_key):
            await asyncio.wait(list(running))

    async def call(
        self,
        contract: ToolContract,
        call: PythonCall,
        arguments: Mapping[str, Any],
        *,
        timeout_s: float,
        files: Mapping[str, bytes],
        idempotency_key: str | None = None,
        may_send: Callable[[], None] = lambda: None,
    ) -> dict[str, Any]:
        """What the function returned, unchecked against its schema.

        A thread cannot be stopped: after a timeout it runs on, keeps its place among `max_threads`, and a write's
        outcome is unknown until it ends, for which `quiet` waits. An asynchronous function is cancelled.

        Raises:
            StepError: `misconfigured`, `timeout`, `contract`, the contract's kinds by exception name, or `tool_error`.
        """
        sending, given = _Sending(may_send), _own(arguments)
        try:
            function = self._known(call, files)
            if function is None or not _makes_coroutines(function):
                work = self._answer(contract, call, given, files, sending=sending, idempotency_key=idempotency_key)
            else:  # as most calls are; each coroutine around it costs as much as a small tool
                sending.leave()
                sending.sent = True
                work = function(given)
            ended, result = begun(work)
            if not ended:
                async with asyncio.timeout(timeout_s):
                    result = await resumed(work, result)
        except TimeoutError as error:
            if _raised_inside(error):
                return _declared_answer(contract, error)
            raise timed_out(contract, timeout_s, sent=sending.sent) from None
        except _StayedError as stayed:
            raise stayed.reason from None
        except StepError:
            raise
        except Exception as error:  # noqa: BLE001  (a tool's code may raise anything; all of it becomes a StepError)
            return _declared_answer(contract, error)
        if not isinstance(result, dict):
            raise broken_answer(contract, "the function returned no dict.")
        return cast("dict[str, Any]", result)

    async def _answer(
        self,
        contract: ToolContract,
        call: PythonCall,
        given: dict[str, Any],
        files: Mapping[str, bytes],
        *,
        sending: _Sending,
        idempotency_key: str | None,
    ) -> Any:
        function = await self._function(contract, call, files)
        if _is_asynchronous(function):
            sending.leave()
            sending.sent = True
            return await cast("Awaitable[Any]", function(given))
        return await self._in_thread(function, given, sending, self._written(idempotency_key))

    def _written(self, idempotency_key: str | None) -> Callable[[], Callable[[], None]]:
        """Called right before a thread begins; what it gives is called when the thread has ended."""

        def begin() -> Callable[[], None]:
            key = idempotency_key
            if key is None:
                return _unwatched()
            ended: asyncio.Future[None] = asyncio.get_running_loop().create_future()
            self._writing.setdefault(key, set()).add(ended)
            return lambda: self._ended(key, ended)

        return begin

    def _ended(self, idempotency_key: str, ended: asyncio.Future[None]) -> None:
        ended.set_result(None)
        running = self._writing[idempotency_key]
        running.discard(ended)
        if not running:
            del self._writing[idempotency_key]

    async def _in_thread(
        self,
        function: ToolFunction,
        given: dict[str, Any],
        sending: _Sending,
        begin: Callable[[], Callable[[], None]] | None = None,
    ) -> Any:
        await self._threads.acquire()
        loop = asyncio.get_running_loop()
        answer: asyncio.Future[Any] = loop.create_future()
        end = (begin or _unwatched)()

        def settle(result: Any, error: BaseException | None) -> None:
            self._threads.release()
            end()
            if answer.done():  # the caller gave up waiting
                return
            if error is None:
                answer.set_result(result)
            else:
                answer.set_exception(error)

        def run() -> None:
            result, error = None, None
            try:
                sending.leave()  # in here: a thread takes its time to begin
                result = function(given)
            except BaseException as raised:  # noqa: BLE001  (SystemExit included: it must not pass for an answer)
                error = raised if _fits_future(raised) else RuntimeError(f"raised {type(raised).__name__}")
            with suppress(RuntimeError):  # the loop closed: nobody is left to tell
                loop.call_soon_threadsafe(settle, result, error)

        sending.sent = True
        # A daemon, so that a tool which hangs cannot keep the worker from exiting.
        threading.Thread(target=run, name="signoff-tool", daemon=True).start()
        return await answer

    def _known(self, call: PythonCall, files: Mapping[str, bytes]) -> ToolFunction | None:
        """The function, where its module was imported before and is still loaded."""
        code = self._code.get(id(files))
        name = None if code is None else code.names.get(call.file)
        if name is None or not self._modules.used(name):
            return None
        function = getattr(sys.modules.get(name), call.function, None)
        return function if callable(function) else None

    async def _function(self, contract: ToolContract, call: PythonCall, files: Mapping[str, bytes]) -> ToolFunction:
        code = self._code_of(files)
        if call.file not in code.sources:
            raise misconfigured(contract, f"the release has no file '{call.file}'.")
        name = self._modules.name(code.sources, call.file)
        if name not in self._loaded or name not in sys.modules:
            await self._load(contract, call, name)
        code.names[call.file] = name
        function = getattr(sys.modules.get(name), call.function, None)
        if not callable(function):
            raise misconfigured(contract, f"'{call.file}' has no function '{call.function}'.")
        return function

    async def _load(self, contract: ToolContract, call: PythonCall, name: str) -> None:
        """Import a module, once for all that wait for it: hundreds may where a release is used for the first time."""
        loading = self._loading.setdefault(name, asyncio.Lock())
        try:
            async with loading:
                if name in self._loaded and name in sys.modules:
                    return
                # In a thread: importing runs the project's code, and may load large libraries.
                await self._in_thread(lambda _: importlib.import_module(name), {}, _Sending(_unwatched))
                self._loaded.add(name)
        except Exception as error:  # noqa: BLE001  (the project's code may raise anything)
            raise misconfigured(contract, f"importing '{call.file}' failed: {_describe(error)}") from None
        finally:
            self._loading.pop(name, None)  # whoever waits has it; whoever comes now finds the module, or tries anew

    def _code_of(self, files: Mapping[str, bytes]) -> _Code:
        """A release's code, known by the mapping: reading the bytes of all its files costs more than most calls."""
        known = self._code.get(id(files))
        if known is None:
            known = self._code[id(files)] = _Code(files, python_files(files))
            if len(self._code) > self._settings.max_releases:
                del self._code[next(iter(self._code))]
        return known


@value
class _Code:
    """The Python files of a release.

    Attributes:
        files: all of it; held, so that no other mapping gets its id.
        names: of the modules that were imported, by file.
    """

    files: Mapping[str, bytes]
    sources: Sources
    names: dict[str, str] = field(default_factory=fresh_dict)


class _Sending:
    """Whether a call has left this process, and what to ask right before it does."""

    __slots__ = ("_may_send", "sent")

    def __init__(self, may_send: Callable[[], object]) -> None:
        self._may_send = may_send
        self.sent = False

    def leave(self) -> None:
        """It is about to leave."""
        try:
            self._may_send()
        except Exception as reason:
            raise _StayedError(reason) from reason


class _StayedError(Exception):
    """A call was not made, for a reason that is not the tool's."""

    def __init__(self, reason: Exception) -> None:
        super().__init__(str(reason))
        self.reason = reason


def _own(value: Any) -> Any:
    """Plain data again, as the function's own: whatever it changes in there is sent by no later try."""
    if isinstance(value, str):
        return value
    if isinstance(value, (dict, Mapping)):  # the first is asked at no cost
        members = cast("Mapping[str, Any]", value)
        return {name: one if isinstance(one, str) else _own(one) for name, one in members.items()}
    if isinstance(value, list):
        return [_own(member) for member in cast("list[Any]", value)]
    return value


def _is_asynchronous(function: ToolFunction) -> bool:
    """Whether calling it gives a coroutine. A plain function's code says so at once; others are looked through."""
    return _makes_coroutines(function) or inspect.iscoroutinefunction(function)


def _makes_coroutines(function: ToolFunction) -> bool:
    """Whether it is written `async def`, with nothing around it."""
    code = getattr(function, "__code__", None)
    return code is not None and bool(code.co_flags & inspect.CO_COROUTINE)


def _unwatched() -> Callable[[], None]:
    return lambda: None


def _fits_future(error: BaseException) -> bool:
    """StopIteration cannot be set on a future, and SystemExit would end the loop."""
    return isinstance(error, Exception) and not isinstance(error, StopIteration)


def _raised_inside(error: TimeoutError) -> bool:
    """Whether the tool raised it itself; asyncio.timeout's own comes from a cancellation."""
    return not isinstance(error.__cause__, asyncio.CancelledError)


def _declared_answer(contract: ToolContract, error: Exception) -> dict[str, Any]:
    """What the contract gives in place of an exception of that name or of one it derives from.

    Raises:
        StepError: the contract declares no answer for it.
    """
    declared = next((found for kind in type(error).__mro__ if (found := contract.failure(kind.__name__))), None)
    if declared is not None and declared.output is not None:
        return dict(declared.output)
    detail = f"Tool '{contract.name}' failed: {_describe(error)}"
    if declared is None:
        raise StepError(detail, kind="tool_error", outcome_unknown=contract.effect) from None
    raise StepError(
        detail,
        kind=declared.kind,
        retryable=declared.retryable,
        outcome_unknown=contract.effect and declared.outcome_unknown,
        declared=not declared.outcome_unknown,
    ) from None


def _describe(error: Exception) -> str:
    text = mask_credentials(mask_secrets(" ".join(str(error).split())))[:MAX_MESSAGE_CHARACTERS]
    return f"{type(error).__name__}: {text}." if text else f"{type(error).__name__}."
