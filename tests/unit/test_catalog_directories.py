"""Projects in directories: what is read, what is refused, what names a release, and what `signoff init` writes."""

from __future__ import annotations

import hashlib
import os
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from signoff.catalog import load_project, load_project_files, sources
from signoff.catalog.model import digest_of
from signoff.catalog.scaffold import create_project
from signoff.core.errors import ConflictError, DefinitionError, InvalidError, Problem


@pytest.fixture
def project(tmp_path: Path) -> Path:
    """A directory with the template project."""
    create_project(tmp_path / "shop")
    return tmp_path / "shop"


def problems_in(directory: Path) -> tuple[Problem, ...]:
    with pytest.raises(DefinitionError) as caught:
        load_project(directory)
    return caught.value.problems


def test_template_makes_a_project_that_loads(tmp_path: Path) -> None:
    written = create_project(tmp_path / "My Shop")
    loaded = load_project(tmp_path / "My Shop")
    assert loaded.name == "my-shop"
    assert set(loaded.workflows) == {"hello"}
    assert {path.name for path in written} >= {"README.md", ".gitignore", "signoff.yaml"}
    assert "PROJECT_NAME" not in "".join(path.read_text() for path in written)


def test_template_overwrites_nothing(project: Path) -> None:
    (project / "signoff.yaml").write_text("mine")
    before = {path: path.read_bytes() for path in project.rglob("*") if path.is_file()}
    with pytest.raises(ConflictError, match="there already"):
        create_project(project)
    assert {path: path.read_bytes() for path in project.rglob("*") if path.is_file()} == before


def test_template_goes_into_a_directory_with_other_files(tmp_path: Path) -> None:
    (tmp_path / "notes.txt").write_text("keep")
    create_project(tmp_path, "notes")
    assert load_project(tmp_path).name == "notes"


def test_template_does_not_follow_a_dangling_link(tmp_path: Path) -> None:
    (tmp_path / "shop").mkdir()
    (tmp_path / "shop" / "signoff.yaml").symlink_to(tmp_path / "elsewhere.yaml")
    with pytest.raises(ConflictError):
        create_project(tmp_path / "shop")
    assert not (tmp_path / "elsewhere.yaml").exists()


def test_template_needs_a_directory(tmp_path: Path) -> None:
    (tmp_path / "shop").write_text("a file")
    with pytest.raises(ConflictError):
        create_project(tmp_path / "shop")


@pytest.mark.parametrize("name", ["Shop", "7up", "a b", "-a", "a" * 64, "shop\n", "../x"])
def test_template_refuses_names(tmp_path: Path, name: str) -> None:
    with pytest.raises(InvalidError, match="not a project's name"):
        create_project(tmp_path / "x", name)
    assert not (tmp_path / "x").exists()


def test_only_a_projects_own_files_are_read(project: Path) -> None:
    before = load_project(project).digest
    for folder in (".signoff", ".git", "data", "shop", "tools/__pycache__", "knowledge/.cache"):
        (project / folder).mkdir(parents=True, exist_ok=True)
        (project / folder / "file.py").write_text("not Python at all (")
    (project / "tools" / "old.pyc").write_bytes(b"\0")
    (project / "workflows" / ".hello.yaml.swp").write_bytes(b"\0")
    (project / "tools" / "README.md").write_text("About our tools.")
    assert load_project(project).digest == before


def test_digest_is_what_sha256sum_gives(project: Path) -> None:
    loaded = load_project(project)
    lines = "".join(
        f"{hashlib.sha256((project / path).read_bytes()).hexdigest()}  {path}\n" for path in sorted(loaded.files)
    )
    assert loaded.digest == hashlib.sha256(lines.encode()).hexdigest()


def test_digest_changes_with_each_byte_and_path(project: Path) -> None:
    first = load_project(project).digest
    tool = project / "tools" / "replies.py"
    tool.write_text(f"{tool.read_text()}\n")
    second = load_project(project).digest
    tool.with_name("more.py").write_text("")
    assert len({first, second, load_project(project).digest}) == 3


@given(st.dictionaries(st.text(min_size=1), st.binary()), st.randoms())
def test_digest_is_independent_of_order(files: dict[str, bytes], random: object) -> None:
    digests = {path: hashlib.sha256(content).hexdigest() for path, content in files.items()}
    names = list(digests)
    random.shuffle(names)  # type: ignore[attr-defined]  # Hypothesis gives a random.Random
    assert digest_of({name: digests[name] for name in names}) == digest_of(digests)


def test_no_project(tmp_path: Path) -> None:
    (problem,) = problems_in(tmp_path)
    assert problem.code == "no-project"
    assert "signoff init" in (problem.suggestion or "")
    assert problems_in(tmp_path / "missing")[0].code == "no-project"


def test_misspelt_names_are_told(project: Path) -> None:
    (project / "workflows").rename(project / "workflow")
    (project / "models.yaml").rename(project / "models.yml")
    found = {problem.file: problem.suggestion for problem in problems_in(project)}
    assert found == {"workflow": "Rename it to 'workflows'.", "models.yml": "Rename it to 'models.yaml'."}


def test_file_of_another_kind_is_told(project: Path) -> None:
    (project / "workflows" / "more.yml").write_text("")
    (problem,) = problems_in(project)
    assert (problem.file, problem.code) == ("workflows/more.yml", "unknown-file")
    assert ".yaml" in (problem.suggestion or "")


@pytest.mark.parametrize(
    "name",
    ["workflows/../../x.yaml", "workflows/./x.yaml", "workflows//x.yaml", "prompts/.hidden.md", "prompts/a\0.md"],
)
def test_a_name_that_no_directory_gives_is_refused(project: Path, name: str) -> None:
    with pytest.raises(DefinitionError) as caught:
        load_project_files({**sources.read_files(project), name: b"x"})
    assert ("unknown-file", name) in [(problem.code, problem.file) for problem in caught.value.problems]


def test_link_out_of_the_project_is_refused(project: Path, tmp_path: Path) -> None:
    (tmp_path / "secret.md").write_text("secret")
    (project / "knowledge" / "a").mkdir(parents=True)
    (project / "knowledge" / "a" / "x.md").symlink_to(tmp_path / "secret.md")
    (problem,) = problems_in(project)
    assert (problem.file, problem.code) == ("knowledge/a/x.md", "link")


def test_linked_directory_is_not_followed(project: Path, tmp_path: Path) -> None:
    (tmp_path / "outside").mkdir()
    (tmp_path / "outside" / "x.md").write_text("secret")
    (project / "knowledge").mkdir()
    (project / "knowledge" / "a.md").symlink_to(tmp_path / "outside")
    assert {problem.code for problem in problems_in(project)} == {"link"}


def test_folder_that_is_linked_is_read_only_within_the_project(project: Path, tmp_path: Path) -> None:
    (project / "prompts").rename(tmp_path / "outside")
    (project / "prompts").symlink_to(tmp_path / "outside")
    assert {problem.code for problem in problems_in(project)} == {"link"}
    (project / "prompts").unlink()
    (tmp_path / "outside").rename(project / "elsewhere")
    (project / "prompts").symlink_to(project / "elsewhere")
    assert [prompt.name for prompt in load_project(project).prompts] == ["sort-message"]


def test_link_within_the_project_is_read(project: Path) -> None:
    before = load_project(project)
    (project / "prompts" / "sort-message.md").rename(project / "prompt.txt")
    (project / "prompts" / "sort-message.md").symlink_to(project / "prompt.txt")
    assert load_project(project).digest == before.digest


@pytest.mark.parametrize("target", ["itself", "nowhere"])
def test_broken_link_is_told(project: Path, target: str) -> None:
    link = project / "prompts" / "x.md"
    link.symlink_to(link if target == "itself" else project / "nowhere.md")
    (problem,) = problems_in(project)
    assert (problem.file, problem.code) == ("prompts/x.md", "unreadable")


def test_pipe_is_not_read(project: Path) -> None:
    os.mkfifo(project / "prompts" / "x.md")
    (problem,) = problems_in(project)
    assert problem.file == "prompts/x.md"


def test_limits_hold(project: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (project / "tools" / "large.py").write_bytes(b"#" * (sources.MAX_FILE_SIZE_BYTES + 1))
    assert [problem.code for problem in problems_in(project)] == ["limit"]
    (project / "tools" / "large.py").unlink()
    deep = project / "knowledge" / "/".join("d" * sources.MAX_DEPTH)
    deep.mkdir(parents=True)
    assert [problem.code for problem in problems_in(project)] == ["limit"]
    deep.rmdir()
    (project / "knowledge" / "many").mkdir()
    for number in range(sources.MAX_FILES):
        (project / "knowledge" / "many" / f"{number}.md").write_text("x")
    assert "limit" in [problem.code for problem in problems_in(project)]


def test_settings_are_overridden_by_the_environment(project: Path) -> None:
    manifest = project / "signoff.yaml"
    manifest.write_text(f"{manifest.read_text()}settings: {{shop_url: 'http://a', retries: 3, on: true}}\n")
    loaded = load_project(project)
    assert loaded.settings == {"shop_url": "http://a", "retries": "3", "on": "true"}
    assert loaded.resolved_settings({"SIGNOFF_SETTING_SHOP_URL": "http://b", "SIGNOFF_SETTING_OTHER": "x"}) == {
        "shop_url": "http://b",
        "retries": "3",
        "on": "true",
    }


def test_the_example_has_no_problem() -> None:
    loaded = load_project(Path(__file__).parents[2] / "examples" / "refunds")
    assert loaded.name == "refunds"
    assert "support/refund" in loaded.workflows
