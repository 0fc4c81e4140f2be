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
from collections import OrderedDict
from collections.abc import Awaitable, Callable, Mapping, Sequence
from contextlib import suppress
from hashlib import sha256
from importlib.abc import InspectLoader, MetaPathFinder
from importlib.machinery import ModuleSpec
from importlib.util import spec_from_loader
from types import ModuleType
from typing import Any, cast

from signoff.capabilities.tools.failures import broken_answer, misconfigured, timed_out
from signoff.capabilities.tools.model import ToolSettings
from signoff.capabilities.tools.secrets import mask_secrets
from signoff.catalog.tools import PythonCall, ToolContract
from signoff.core.errors import StepError
from signoff.foundation.logging import mask_credentials

MAX_MESSAGE_CHARACTERS = 300
"""How much of a tool's exception text an error repeats."""

_PACKAGE = "signoff_release_"

ToolFunction = Callable[[dict[str, Any]], Any]


class _ReleaseImporter(MetaPathFinder, InspectLoader):
    """Imports one release's Python files from memory: `tools/shop.py` is `<package>.tools.shop`."""

    def __init__(self, package: str, sources: Mapping[str, bytes]) -> None:
        self.package = package
        self._sources = {f"{package}.{_module_name(path)}": (path, source) for path, source in sources.items()}
        self._packages = {package}
        for name in self._sources:
            parts = name.split(".")
            self._packages.update(".".join(parts[:length]) for length in range(1, len(parts)))

    def find_spec(
        self,
        fullname: str,
        path: Sequence[str] | None,  # noqa: ARG002  (importlib's signature)
        target: ModuleType | None = None,  # noqa: ARG002  (importlib's signature)
    ) -> ModuleSpec | None:
        if fullname not in self._sources and fullname not in self._packages:
            return None
        origin = f"<{self.package[: len(_PACKAGE) + 8]}>/{self._sources.get(fullname, ('', b''))[0]}"
        return spec_from_loader(fullname, self, origin=origin, is_package=fullname in self._packages)

    def get_source(self, fullname: str) -> str:
        return self._sources.get(fullname, ("", b""))[1].decode()

    def is_package(self, fullname: str) -> bool:
        return fullname in self._packages


class PythonTools:
    """Loads and calls Python tools. Synchronous functions run in threads of their own, a bounded number at once."""

    def __init__(self, settings: ToolSettings) -> None:
        self._settings = settings
        self._threads = asyncio.Semaphore(settings.max_threads)
        self._importers: OrderedDict[str, _ReleaseImporter] = OrderedDict()
        self._loaded: set[str] = set()
        self._writing: dict[str, set[asyncio.Future[None]]] = {}

    def close(self) -> None:
        """Forget every loaded release."""
        while self._importers:
            self._forget(next(iter(self._importers)))

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
    ) -> dict[str, Any]:
        """What the function returned, unchecked against its schema.

        A thread cannot be stopped: after a timeout it runs on, keeps its place among `max_threads`, and a write's
        outcome is unknown until it ends, for which `quiet` waits. An asynchronous function is cancelled.

        Raises:
            StepError: `misconfigured`, `timeout`, `contract`, the contract's kinds by exception name, or `tool_error`.
        """
        given = dict(arguments)
        started = threading.Event()
        try:
            async with asyncio.timeout(timeout_s):
                function = await self._function(contract, call, files)
                if inspect.iscoroutinefunction(function):
                    started.set()
                    result = await cast("Awaitable[Any]", function(given))
                else:
                    result = await self._in_thread(function, given, started, self._written(idempotency_key))
        except TimeoutError as error:
            if _raised_inside(error):
                return _declared_answer(contract, error)
            raise timed_out(contract, timeout_s, sent=started.is_set()) from None
        except StepError:
            raise
        except Exception as error:  # noqa: BLE001  (a tool's code may raise anything; all of it becomes a StepError)
            return _declared_answer(contract, error)
        if not isinstance(result, dict):
            raise broken_answer(contract, "the function returned no dict.")
        return cast("dict[str, Any]", result)

    def _written(self, idempotency_key: str | None) -> Callable[[], Callable[[], None]]:
        """Called when a write's thread begins; what it gives is called when the thread has ended."""
        key = idempotency_key
        if key is None:
            return _unwatched

        def begin() -> Callable[[], None]:
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
        started: threading.Event,
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
                result = function(given)
            except BaseException as raised:  # noqa: BLE001  (SystemExit included: it must not pass for an answer)
                error = raised if _fits_future(raised) else RuntimeError(f"raised {type(raised).__name__}")
            with suppress(RuntimeError):  # the loop closed: nobody is left to tell
                loop.call_soon_threadsafe(settle, result, error)

        started.set()
        # A daemon, so that a tool which hangs cannot keep the worker from exiting.
        threading.Thread(target=run, name="signoff-tool", daemon=True).start()
        return await answer

    async def _function(self, contract: ToolContract, call: PythonCall, files: Mapping[str, bytes]) -> ToolFunction:
        sources = {path: source for path, source in files.items() if path.endswith(".py")}
        if call.file not in sources:
            raise misconfigured(contract, f"the release has no file '{call.file}'.")
        name = f"{self._importer(sources).package}.{_module_name(call.file)}"
        if name not in self._loaded:
            try:  # in a thread: importing runs the project's code, and may load large libraries
                await self._in_thread(lambda _: importlib.import_module(name), {}, threading.Event())
            except Exception as error:  # noqa: BLE001  (the project's code may raise anything)
                raise misconfigured(contract, f"importing '{call.file}' failed: {_describe(error)}") from None
            self._loaded.add(name)
        function = getattr(sys.modules.get(name), call.function, None)
        if not callable(function):
            raise misconfigured(contract, f"'{call.file}' has no function '{call.function}'.")
        return function

    def _importer(self, sources: Mapping[str, bytes]) -> _ReleaseImporter:
        hashed = sha256()
        for path in sorted(sources):
            hashed.update(f"{len(path)}:{path}:{len(sources[path])}:".encode())
            hashed.update(sources[path])
        package = _PACKAGE + hashed.hexdigest()
        importer = self._importers.get(package)
        if importer is None:
            importer = self._importers[package] = _ReleaseImporter(package, sources)
            sys.meta_path.append(importer)
            if len(self._importers) > self._settings.max_releases:
                self._forget(next(iter(self._importers)))
        self._importers.move_to_end(package)
        return importer

    def _forget(self, package: str) -> None:
        sys.meta_path.remove(self._importers.pop(package))
        for name in [name for name in sys.modules if name == package or name.startswith(f"{package}.")]:
            del sys.modules[name]
            self._loaded.discard(name)


def _unwatched() -> Callable[[], None]:
    return lambda: None


def _module_name(path: str) -> str:
    return path.removesuffix(".py").removesuffix("/__init__").replace("/", ".")


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
