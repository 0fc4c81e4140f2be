"""Where commands work, and what they leave behind."""

from __future__ import annotations

import json
import stat
from pathlib import Path

import pytest

from signoff.cli.output import clean
from signoff.cli.workspace import (
    AlreadyRunningError,
    DevState,
    only_dev,
    project_directory,
    read_dev,
    rooms_of,
    settings_of,
    state_directory_of,
    write_dev,
)
from signoff.core.errors import InvalidError, UnavailableError


def test_the_nearest_project_is_meant(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "signoff.yaml").write_text("project: outer\n")
    inner = tmp_path / "deep" / "er"
    inner.mkdir(parents=True)
    monkeypatch.chdir(inner)
    assert project_directory(None) == tmp_path
    assert project_directory(inner) == inner


@pytest.mark.parametrize("given", [None, "elsewhere"])
def test_client_commands_find_the_state_where_the_settings_have_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, given: str | None
) -> None:
    monkeypatch.delenv("SIGNOFF_STATE_DIRECTORY", raising=False)
    if given is not None:
        monkeypatch.setenv("SIGNOFF_STATE_DIRECTORY", str(tmp_path / given))
    assert state_directory_of(tmp_path) == settings_of(tmp_path).state_path


def test_each_room_s_limits_are_set_by_variables(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SIGNOFF_ENGINE__LEASE_S", "30")
    monkeypatch.setenv("SIGNOFF_TOOLS__PROXY_URL", "http://proxy:3128")
    rooms = rooms_of()
    assert (rooms.engine.lease_s, rooms.engine.heartbeat_s) == (30.0, 2.0)
    assert rooms.tools.proxy_url == "http://proxy:3128"


@pytest.mark.parametrize(
    ("variable", "value", "said"),
    [
        ("SIGNOFF_ENGINE__LEASE_S", "soon", "SIGNOFF_ENGINE__LEASE_S: "),
        ("SIGNOFF_TOOLS__PROXY", "http://proxy:3128", "SIGNOFF_TOOLS__PROXY: Extra inputs"),
        ("SIGNOFF_ENGINE__HEARTBEAT_S", "4", "a third of SIGNOFF_ENGINE__LEASE_S"),
        ("SIGNOFF_ENGINE__DRAIN_S", "4", "set as SIGNOFF_WORKER__SHUTDOWN_TIMEOUT_S"),
    ],
)
def test_a_wrong_limit_is_told_by_its_variable(
    monkeypatch: pytest.MonkeyPatch, variable: str, value: str, said: str
) -> None:
    monkeypatch.setenv(variable, value)
    with pytest.raises(InvalidError) as caught:
        rooms_of()
    assert said in caught.value.problems[0].detail


def test_what_dev_leaves_is_for_its_owner_alone_and_comes_back(tmp_path: Path) -> None:
    state = DevState("http://127.0.0.1:1", 1, "so_secret", {"ana": "so_other"})
    write_dev(tmp_path, state)
    write_dev(tmp_path, state)
    assert [path.name for path in tmp_path.iterdir()] == ["dev.json"]
    assert stat.S_IMODE((tmp_path / "dev.json").stat().st_mode) == 0o600
    assert read_dev(tmp_path) == state
    assert "so_" not in repr(state)


@pytest.mark.parametrize("content", ["", "[1]", "{", "\x00"])
def test_a_damaged_file_says_what_to_do(tmp_path: Path, content: str) -> None:
    (tmp_path / "dev.json").write_text(content)
    with pytest.raises(UnavailableError, match="Remove it"):
        read_dev(tmp_path)


def test_what_a_newer_version_wrote_beside_is_ignored(tmp_path: Path) -> None:
    (tmp_path / "dev.json").write_text(json.dumps({"url": "http://127.0.0.1:1", "colour": "blue"}))
    assert read_dev(tmp_path).url == "http://127.0.0.1:1"


def test_one_dev_at_a_time(tmp_path: Path) -> None:
    with only_dev(tmp_path):
        write_dev(tmp_path, DevState("http://127.0.0.1:1", 7))
        with pytest.raises(AlreadyRunningError, match=r"http://127\.0\.0\.1:1 \(process 7\)"), only_dev(tmp_path):
            pass
    with only_dev(tmp_path):
        pass


@pytest.mark.parametrize("character", ["\x1b", "\x07", "\x00", "\x9b", "\r", "\x7f", "\u202e", "\u2066"])
def test_characters_that_act_on_a_terminal_are_shown_as_unknown(character: str) -> None:
    assert clean(f"a{character}b") == "a\ufffdb"


def test_ordinary_text_stays() -> None:
    text = "Zoë\tpaid 5 €\n— ok 👍"
    assert clean(text) == text
