"""Several prompts of another registry in one file: a list of them, or pages of its API's answers.

Langfuse's own list (`GET /api/public/v2/prompts`) tells names only, and LangSmith's (`GET /api/v1/repos`) texts where
it is asked for them (`with_latest_manifest=true`); LangSmith's commits of one prompt have them.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from typing import Any, cast

import orjson

from signoff.catalog.registry.exchange import Form, Imported, import_prompt
from signoff.core.errors import InvalidError, LimitError

MAX_PROMPTS = 1_000
"""The most prompts that are read from one file."""
MAX_FILE_BYTES = 16 * 1_048_576
"""The largest file that is read."""

_LISTS: Mapping[Form, tuple[str, ...]] = {"langfuse": ("data",), "langsmith": ("repos", "commits")}
"""The members of an API's answer that hold many."""


@dataclass(frozen=True, slots=True)
class Refused:
    """A prompt that could not be taken over: what it is called there, and why."""

    name: str
    why: str


@dataclass(frozen=True, slots=True)
class Collected:
    """What a file held, each prompt in its newest version."""

    imported: tuple[Imported, ...]
    refused: tuple[Refused, ...]


def collect(text: bytes, form: Form, *, name: str | None = None) -> Collected:
    """The prompts of a file. One alone that cannot be taken over is an error; of several, the others go on.

    Args:
        text: JSON: a prompt, a list of prompts, or an answer of the registry's API.
        form: the registry.
        name: another name, for a file with one prompt.

    Raises:
        InvalidError: it is no JSON, holds nothing, or holds several prompts and `name` is given.
        LimitError: it is larger than `MAX_FILE_BYTES`, or has more than `MAX_PROMPTS`.
    """
    if len(text) > MAX_FILE_BYTES:
        raise LimitError(f"The file is larger than {MAX_FILE_BYTES} bytes.")
    try:
        data: Any = orjson.loads(text.removeprefix(b"\xef\xbb\xbf"))
    except orjson.JSONDecodeError as error:
        raise InvalidError(f"The file cannot be read as JSON: {error}.") from None
    listed = _is_list(data, form)
    newest, older = _newest(data, form) if listed else ([data], {})
    if not newest:
        raise InvalidError(f"The file holds no prompt of {form}.")
    if len(newest) > 1 and name is not None:
        raise InvalidError(f"The file holds {len(newest)} prompts, which cannot all be called '{name}'.")
    if len(newest) == 1:
        return Collected((_with_note(import_prompt(newest[0], form, name=name), older.get(_called(newest[0]), 0)),), ())
    imported: list[Imported] = []
    refused: list[Refused] = []
    for one in newest:
        called = _called(one)
        try:
            imported.append(_with_note(import_prompt(one, form), older.get(called, 0)))
        except (InvalidError, LimitError) as error:
            refused.append(Refused(called or "a prompt without a name", error.detail))
    return Collected(tuple(imported), tuple(refused))


def _is_list(data: Any, form: Form) -> bool:
    if isinstance(data, list):
        return True
    return any(isinstance(_members(data).get(name), list) for name in _LISTS[form])


def _items(data: Any, form: Form) -> Iterator[Any]:
    """The prompts of a list or an answer, also of a list of answers."""
    if not _is_list(data, form):
        yield data
        return
    if isinstance(data, list):
        for item in cast("list[Any]", data):
            yield from _items(item, form)
        return
    for name in _LISTS[form]:
        yield from cast("list[Any]", _members(data).get(name) or [])


def _newest(data: Any, form: Form) -> tuple[list[Any], dict[str, int]]:
    """Each prompt once, in its highest version, or the first where versions have no number; and how many older ones."""
    found: dict[str, Any] = {}
    older: dict[str, int] = {}
    for count, item in enumerate(_items(data, form), start=1):
        if count > MAX_PROMPTS:
            raise LimitError(f"The file holds more than {MAX_PROMPTS} prompts.")
        called = _called(item)
        key = called or f"\0{count}"
        if key in found:
            older[called] = older.get(called, 0) + 1
        if key not in found or _version(item) > _version(found[key]):
            found[key] = item
    return list(found.values()), older


def _called(item: Any) -> str:
    members = _members(item)
    name = members.get("name") or members.get("repo") or members.get("repo_handle")
    return name if isinstance(name, str) else ""


def _version(item: Any) -> int:
    version = _members(item).get("version")
    return version if isinstance(version, int) else 0


def _members(value: Any) -> Mapping[str, Any]:
    return cast("Mapping[str, Any]", value) if isinstance(value, Mapping) else {}


def _with_note(imported: Imported, older: int) -> Imported:
    if not older:
        return imported
    versions = "version" if older == 1 else "versions"
    return replace(imported, notes=(*imported.notes, f"The file has {older} older {versions} of it, left out."))
