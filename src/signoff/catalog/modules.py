"""A release's Python files as modules: imported from the release's bytes, never from a disk.

Each set of files is a package of its own, named by their hash, so that two releases in one worker never share a module
and a run keeps the code that it pinned. `tools/shop.py` is `<package>.tools.shop`: files import each other relatively.
"""

from __future__ import annotations

import importlib
import sys
import threading
from collections import OrderedDict
from collections.abc import Mapping, Sequence
from functools import cached_property, lru_cache
from hashlib import sha256
from importlib.abc import ExecutionLoader, MetaPathFinder
from importlib.machinery import ModuleSpec
from types import ModuleType

from signoff.workflows.python.isolation import RELEASE_ROOT

KNOWN_PATHS = 1024
"""How many files' module names are kept to be found again."""


DIGEST_CHARACTERS = 64
"""How long the name of a set of files is: SHA-256, hexadecimal."""


class Sources(dict[str, bytes]):
    """The Python files of a release, by path. Nobody changes them."""

    @cached_property
    def digest(self) -> str:
        """What names this set of files, hexadecimal."""
        hashed = sha256()
        for path in sorted(self):
            hashed.update(f"{len(path)}:{path}:{len(self[path])}:".encode())
            hashed.update(self[path])
        return hashed.hexdigest()


def python_files(files: Mapping[str, bytes]) -> Sources:
    """The Python files among a release's."""
    return Sources((path, content) for path, content in files.items() if path.endswith(".py"))


def code_digest(sources: Mapping[str, bytes]) -> str:
    """What names a set of Python files, hexadecimal."""
    return sources.digest if isinstance(sources, Sources) else Sources(sources).digest


class ReleaseModules:
    """The modules of the releases that are loaded; the least recently used go first.

    Args:
        prefix: what the names of its packages begin with; two of these in one process want different ones.
        capacity: how many sets of files stay loaded.
    """

    def __init__(self, prefix: str, capacity: int) -> None:
        self._prefix = prefix
        self._capacity = capacity
        self._importers: OrderedDict[str, _Importer] = OrderedDict()
        self._lock = threading.RLock()

    def close(self) -> None:
        """Forget every loaded module."""
        with self._lock:
            while self._importers:
                self._forget(next(iter(self._importers)))

    def name(self, sources: Mapping[str, bytes], path: str) -> str:
        """The full name of a file's module, which can be imported from now on."""
        with self._lock:
            package = self._prefix + code_digest(sources)
            importer = self._importers.get(package)
            if importer is None:
                importer = self._importers[package] = _Importer(package, sources)
                sys.meta_path.append(importer)
                if len(self._importers) > self._capacity:
                    self._forget(next(iter(self._importers)))
            self._importers.move_to_end(package)
        return f"{package}.{_module_name(path)}"

    def used(self, name: str) -> bool:
        """Whether the package of a module is still loaded; if so it is the most recently used one."""
        try:
            self._importers.move_to_end(name[: len(self._prefix) + DIGEST_CHARACTERS])  # one step of the interpreter
        except KeyError:
            return False
        return True

    def module(self, sources: Mapping[str, bytes], path: str) -> ModuleType:
        """A file's module, imported if it is not yet. That runs the project's code, and may raise anything."""
        return importlib.import_module(self.name(sources, path))

    def _forget(self, package: str) -> None:
        sys.meta_path.remove(self._importers.pop(package))
        for name in [name for name in sys.modules if name == package or name.startswith(f"{package}.")]:
            del sys.modules[name]


class _Importer(MetaPathFinder, ExecutionLoader):
    """Imports one set of files from memory."""

    def __init__(self, package: str, sources: Mapping[str, bytes]) -> None:
        self._package = package
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
        is_package = fullname in self._packages
        return ModuleSpec(fullname, self, origin=self.get_filename(fullname), is_package=is_package)

    def get_filename(self, fullname: str) -> str:
        """What tracebacks show: the project's own path behind the package's name."""
        return f"{self._package}/{RELEASE_ROOT}{self._sources.get(fullname, ('', b''))[0]}"

    def get_source(self, fullname: str) -> str:
        return self._sources.get(fullname, ("", b""))[1].decode()

    def is_package(self, fullname: str) -> bool:
        return fullname in self._packages


@lru_cache(maxsize=KNOWN_PATHS)
def _module_name(path: str) -> str:
    return path.removesuffix(".py").removesuffix("/__init__").replace("/", ".")
