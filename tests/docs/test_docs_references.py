"""Whatever the documentation names is there: links, files, environment variables."""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator
from functools import cache
from pathlib import Path
from typing import Any

import pytest
import typer.main
from pydantic import BaseModel
from support.docs_pages import CHECKOUT, Page, page, pages

from signoff.capabilities.gateway.models_store import DIRECTORY_VARIABLE
from signoff.cli.main import app
from signoff.foundation.settings import Settings
from signoff.steps.rooms import RoomSettings

LINK = re.compile(r"(?<!!)\[[^\]]+\]\(([^)\s]+)\)")
ROOTS = ("", "src", "src/signoff", "src/signoff/foundation/database/migrations", "tests/integration")
ENDINGS = (".py", ".md", ".sql", ".toml", ".yaml", ".lock", ".jsonl")
PLACEHOLDER = re.compile(r"NAME|NNNN|[<>{}*…$ ()]|translate|^\.signoff|^/|^https?:|::")
# What projects of users have, as the guides and the reference describe it.
OF_PROJECTS = re.compile(
    r"^(signoff\.yaml|models\.yaml|(workflows|prompts|tools|schemas|policies|rules|knowledge)/|README\.md|classify)"
)
VARIABLE = re.compile(r"\bSIGNOFF_[A-Z_]*[A-Z]")
PREFIXES = ("SIGNOFF_SETTING", "SIGNOFF_SECRET")

PAGES = [pytest.param(found, id=found.name) for found in pages()]


def slug(heading: str) -> str:
    """The anchor that a heading gets."""
    return re.sub(r"[^\w\- ]", "", heading.strip().lower()).replace(" ", "-")


@pytest.mark.parametrize("found", PAGES)
def test_links_lead_somewhere(found: Page) -> None:
    broken: list[str] = []
    for target in LINK.findall(found.prose):
        if re.match(r"[a-z]+:", target):
            continue
        name, _, anchor = target.partition("#")
        path = (found.path.parent / name).resolve() if name else found.path
        if not path.exists() or (
            anchor
            and anchor
            not in {slug(line.lstrip("#")) for line in path.read_text("utf-8").splitlines() if line.startswith("#")}
        ):
            broken.append(target)
    assert broken == []


def named_paths(found: Page) -> Iterator[str]:
    """Words that can only be paths of this repository, or of a room's own files."""
    rooms = found.name == "ARCHITECTURE.md"
    for code in found.codes:
        if PLACEHOLDER.search(code) or not code.endswith(("/", *ENDINGS)) or code in ENDINGS:
            continue
        bare = code.count("/") == code.endswith("/")
        if rooms or (not OF_PROJECTS.match(code) and (not bare or code.endswith(".py"))):
            yield code.removesuffix("/")


@pytest.mark.parametrize("found", PAGES)
def test_files_that_are_named_exist(found: Page) -> None:
    missing = [word for word in named_paths(found) if not _there(found, word)]
    assert missing == [], "rename it here too"


def _there(found: Page, word: str) -> bool:
    places = [*(CHECKOUT / root for root in ROOTS), found.path.parent]
    # A bare name is one of a room's files: `store.py`; ARCHITECTURE.md names a room, and then what is in it.
    return any((place / word).exists() for place in places) or any((CHECKOUT / "src/signoff").rglob(word))


@cache
def known_variables() -> set[str]:
    known = {DIRECTORY_VARIABLE}
    for name, field in Settings.model_fields.items():
        if isinstance(field.annotation, type) and issubclass(field.annotation, BaseModel):
            known |= {f"SIGNOFF_{name}__{inner}".upper() for inner in field.annotation.model_fields}
        else:
            known.add(f"SIGNOFF_{name}".upper())
    known |= set(_of_commands(typer.main.get_command(app)))
    return known | set(_read_from_environment())


def variables_of_rooms() -> set[str]:
    """Each limit's, and each room's prefix; what they bound is said by the rooms' own pages."""
    rooms = {f"SIGNOFF_{name}".upper(): field.annotation for name, field in RoomSettings.model_fields.items()}
    return set(rooms) | {
        f"{prefix}__{limit}".upper()
        for prefix, model in rooms.items()
        if isinstance(model, type) and issubclass(model, BaseModel)
        for limit in model.model_fields
    }


def _of_commands(command: Any) -> Iterator[str]:
    for parameter in command.params:
        given = parameter.envvar
        yield from [given] if isinstance(given, str) else given or ()
    for inner in getattr(command, "commands", {}).values():
        yield from _of_commands(inner)


def _read_from_environment() -> Iterator[str]:
    """Constants given to `os.environ` anywhere in the source."""
    for path in (CHECKOUT / "src").rglob("*.py"):
        for node in ast.walk(ast.parse(path.read_text("utf-8"))):
            if not isinstance(node, (ast.Call, ast.Subscript)) or "environ" not in ast.unparse(node):
                continue
            for inner in ast.walk(node):
                if isinstance(inner, ast.Constant) and isinstance(inner.value, str):
                    yield from VARIABLE.findall(inner.value)


def test_variables_that_are_named_are_read() -> None:
    known = known_variables() | variables_of_rooms()
    unknown = sorted(
        f"{found.name}: {name}"
        for found in pages()
        for name in set(VARIABLE.findall(found.text))
        if name not in known and not name.startswith(PREFIXES)
    )
    assert unknown == []


def test_every_variable_is_in_the_operations_guide() -> None:
    named = set(VARIABLE.findall(page("docs/guides/operations.md").text))
    assert sorted(known_variables() - named - {"SIGNOFF"}) == []


def test_the_project_stands_alone() -> None:
    """What lies beside a checkout is no part of the project."""
    outside = re.compile(r"\.\./shared|/work/|\b(DESIGN|ENGINE|PACKAGES)\.md")
    assert [found.name for found in pages() if outside.search(found.text)] == []


def test_decisions_have_their_parts_and_fit_a_page() -> None:
    names = sorted(path.name for path in (CHECKOUT / "docs/decisions").glob("0*.md"))
    assert [int(name[:4]) for name in names] == list(range(1, len(names) + 1))
    overview = page("docs/decisions/README.md").text
    for name in names:
        text = Path(CHECKOUT / "docs/decisions" / name).read_text("utf-8")
        assert f"({name})" in overview, name
        assert text.startswith(f"# {name[:4]} "), name
        for part in ("**Context.**", "**Decision.**", "**Rejected.**", "**Consequences.**"):
            assert part in text, f"{name} has no {part}"
        assert len(text.splitlines()) <= 60, name
