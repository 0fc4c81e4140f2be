"""Where a command works: the project around the current directory, its settings, and what `signoff dev` left for it."""

from __future__ import annotations

import contextlib
import fcntl
import json
import os
import secrets
from collections.abc import Callable, Generator, Sequence
from dataclasses import asdict, dataclass, field
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar, cast

from signoff.core.errors import ConflictError, InvalidError, NotFoundError, UnavailableError

if TYPE_CHECKING:
    from signoff.foundation.settings import Settings
    from signoff.runtime import RuntimeSettings
    from signoff.steps.rooms import RoomSettings

MANIFEST = "signoff.yaml"
S = TypeVar("S")


class AlreadyRunningError(ConflictError):
    """A `signoff dev` runs for the project already."""

    code = "already-running"
    title = "Already running"


@dataclass(frozen=True, slots=True)
class DevState:
    """`.signoff/dev.json`: how the other commands reach a running `signoff dev`. Readable by its owner alone.

    Attributes:
        url: of the API; none while nothing runs.
        pid: of the process.
        key: the developer's API key.
        keys: further ones by name, for `--key NAME`.
    """

    url: str | None = None
    pid: int | None = None
    key: str | None = field(default=None, repr=False)
    keys: dict[str, str] = field(default_factory=dict[str, str], repr=False)


def project_directory(given: Path | None) -> Path:
    """The directory given; else the nearest one around the current directory that holds a project; else that itself."""
    if given is not None:
        return given.resolve()
    here = Path.cwd()
    return next((path for path in (here, *here.parents) if (path / MANIFEST).is_file()), here)


def settings_of(project: Path | None) -> Settings:
    """The settings of the process for a project.

    Raises:
        InvalidError: a variable `SIGNOFF_…` has a wrong value; each is named.
    """
    from signoff.foundation.settings import Settings

    return _read(partial(Settings, project=project_directory(project)))


def rooms_of() -> RoomSettings:
    """The limits of the rooms that workers and gateways are made of.

    Raises:
        InvalidError: a variable `SIGNOFF_…` has a wrong value; each is named.
    """
    from signoff.steps.rooms import RoomSettings

    return _read(RoomSettings)


def engine_limits(settings: Settings, rooms: RoomSettings) -> RuntimeSettings:
    """Those of a worker in this process, which says by itself how long it waits for what is under way."""
    return rooms.engine.model_copy(update={"drain_s": settings.worker.shutdown_timeout_s})


def _read(make: Callable[[], S]) -> S:
    from pydantic import ValidationError

    from signoff.core.errors import InvalidError, Problem

    try:
        return make()
    except ValidationError as error:
        problems = [
            Problem(": ".join((*_variable(item["loc"]), item["msg"])) + ".")
            for item in error.errors(include_input=False)
        ]
        raise InvalidError("The settings in the environment are wrong.", problems=problems) from None


def _variable(place: Sequence[int | str]) -> tuple[str, ...]:
    """Its name; nothing where two together are wrong, which the message names then."""
    return (f"SIGNOFF_{'__'.join(str(part) for part in place).upper()}",) if place else ()


def state_directory_of(project: Path | None) -> Path:
    """`Settings.state_path` for commands that need nothing else of the settings, whose import takes longest."""
    given = os.environ.get("SIGNOFF_STATE_DIRECTORY")
    return Path(given) if given else project_directory(project) / ".signoff"


def read_dev(state_directory: Path) -> DevState:
    """What `signoff dev` left; empty where it never ran.

    Raises:
        UnavailableError: the file cannot be read.
    """
    path = state_directory / "dev.json"
    try:
        data: Any = json.loads(path.read_text("utf-8"))
        if not isinstance(data, dict):
            raise TypeError("it is no JSON object")  # noqa: TRY301  (told below, as what else is wrong with the file)
        known = cast("dict[str, Any]", data)
        return DevState(**{name: known[name] for name in DevState.__dataclass_fields__ if name in known})
    except FileNotFoundError:
        return DevState()
    except (OSError, ValueError, TypeError) as error:
        raise UnavailableError(f"{path} cannot be read: {error}. Remove it and start 'signoff dev' again.") from error


def write_dev(state_directory: Path, state: DevState) -> None:
    """Replace the file in one step; only its owner may read it."""
    path = state_directory / "dev.json"
    beside = path.with_name(f".dev.json.{secrets.token_hex(4)}")
    with os.fdopen(os.open(beside, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "w", encoding="utf-8") as file:
        json.dump(asdict(state), file, indent=2)
    beside.replace(path)


@contextlib.contextmanager
def only_dev(state_directory: Path) -> Generator[None]:
    """Be the project's only `signoff dev` for the block. The kernel gives the lock back however the process ends.

    Raises:
        AlreadyRunningError: another one runs; says where.
    """
    state_directory.mkdir(parents=True, exist_ok=True)
    # Appending opens the file for writing without emptying it.
    with (state_directory / "dev.lock").open("a") as file:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            state = read_dev(state_directory)
            where = f"at {state.url} (process {state.pid})" if state.url else "and is still starting"
            detail = f"'signoff dev' runs for this project already, {where}. Stop it first, or use it: 'signoff runs'."
            raise AlreadyRunningError(detail, url=state.url, pid=state.pid) from None
        yield


def project_name(directory: Path | None) -> str:
    """The project's name, whatever else is wrong with its files: a roll-back must not wait for that."""
    from signoff.workflows import load_document

    path = project_directory(directory) / MANIFEST
    if not path.is_file():
        raise NotFoundError(f"There is no {MANIFEST} in {path.parent}. Name a project's directory with --project.")
    try:
        text = path.read_text("utf-8-sig")
    except (OSError, UnicodeDecodeError) as error:
        reason = error.strerror if isinstance(error, OSError) else "it is not UTF-8"
        raise InvalidError(f"{path} cannot be read: {reason}.") from None
    name = load_document(text, MANIFEST).entries.get("project")
    return "" if name is None else name.text or ""
