"""Files with many prompts of another registry: each comes over once, the newest, and what cannot is told by name."""

from __future__ import annotations

import json
from typing import Any

import pytest

from signoff.catalog.registry.collecting import MAX_FILE_BYTES, MAX_PROMPTS, Collected, collect
from signoff.catalog.registry.exchange import Form, import_prompt
from signoff.core.errors import InvalidError, LimitError


def langfuse(name: str, text: str = "Say {{a}}.", **more: Any) -> dict[str, Any]:
    return {"name": name, "version": 1, "type": "text", "prompt": text, "config": {}, **more}


def manifest(text: str) -> dict[str, Any]:
    return {"lc": 1, "type": "constructor", "id": ["langchain", "PromptTemplate"], "kwargs": {"template": text}}


def collected(data: Any, form: Form, name: str | None = None) -> Collected:
    return collect(json.dumps(data).encode(), form, name=name)


PAIR = [langfuse("one"), langfuse("two")]


@pytest.mark.parametrize("data", [PAIR, {"data": PAIR, "meta": {}}, [{"data": PAIR[:1]}, {"data": PAIR[1:]}]])
def test_lists_and_pages_are_read(data: Any) -> None:
    assert [one.name for one in collected(data, "langfuse").imported] == ["one", "two"]


def test_one_is_read_as_ever_and_may_have_another_name() -> None:
    (one,) = collected(langfuse("one"), "langfuse", "other").imported
    assert (one.name, one.notes) == ("other", import_prompt(langfuse("one"), "langfuse").notes)
    assert collected([langfuse("one")], "langfuse", "other").imported == (one,)
    assert collect(b"\xef\xbb\xbf" + json.dumps(PAIR[0]).encode(), "langfuse").imported[0].name == "one"


def test_the_newest_version_comes_over_and_the_others_are_counted() -> None:
    versions = [langfuse("a", f"Of {version} {{{{x}}}}.", version=version) for version in (2, 10, 9)]
    (one,) = collected([*versions], "langfuse").imported
    assert ("Of 10" in one.text, one.notes[-1]) == (True, "The file has 2 older versions of it, left out.")
    commits = [{"repo": "a", "commit_hash": f"{n:064}", "manifest": manifest(f"Of {n} {{x}}.")} for n in (3, 2)]
    (one,) = collected({"commits": commits, "total": 2}, "langsmith").imported
    assert ("Of 3" in one.text, one.notes[-1]) == (True, "The file has 1 older version of it, left out.")


def test_what_cannot_be_taken_over_keeps_nothing_else_back() -> None:
    found = collected([PAIR[0], langfuse("bad", "{{#if}}"), {"name": "bare", "versions": [1]}, 7], "langfuse")
    assert [one.name for one in found.imported] == ["one"]
    told = {one.name: one.why for one in found.refused}
    assert ("conditions" in told["bad"], "without its text" in told["bare"]) == (True, True)
    assert "no JSON object" in told["a prompt without a name"]


def test_repositories_of_langsmith_come_with_their_newest_text() -> None:
    repos = [
        {"repo_handle": "rag", "last_commit_hash": "f" * 64, "latest_commit_manifest": manifest("Answer {q}.")},
        {"repo_handle": "bare", "latest_commit_manifest": None},
    ]
    found = collected({"repos": repos, "total": 2}, "langsmith")
    (one,) = found.imported
    assert (one.name, "commit ffffffff of LangSmith" in one.text) == ("rag", True)
    assert [one.name for one in found.refused] == ["bare"]


def deep(levels: int) -> dict[str, Any]:
    return {"type": "object", "properties": {"a": deep(levels - 1)}} if levels else {"type": "string"}


HOSTILE: dict[str, Any] = {
    "a role that is no text": langfuse("x", prompt=[{"role": {}, "content": "x"}]),
    "half a character": langfuse("x", "\ud800"),
    "a schema without end": langfuse("x", config={"schema": deep(300)}),
    "blanks without end": langfuse("x", "{{a" + " " * 190_000),
    "braces without end": langfuse("x", "{{ a " * 30_000),
    "a message without end": langfuse("x", "y" * 300_000),
    "a template in a list": {"id": ["PromptTemplate"], "kwargs": {"template": "x", "template_format": []}},
    "nothing": [],
    "a number": 5,
}


@pytest.mark.parametrize("data", HOSTILE.values(), ids=HOSTILE)
@pytest.mark.parametrize("form", ["langfuse", "langsmith"])
def test_hostile_files_are_refused_in_words(data: Any, form: Form) -> None:
    with pytest.raises(InvalidError):
        collected(data, form)
    if isinstance(data, dict):
        with pytest.raises(InvalidError):
            import_prompt(data, form)


@pytest.mark.parametrize("text", [b"", b"\xff", b"{", b"[" * 5_000, b'{"a": NaN}', b'{"a": "\\ud800"}'])
def test_what_is_no_json_is_told(text: bytes) -> None:
    with pytest.raises(InvalidError, match="JSON"):
        collect(text, "langfuse")


def test_more_than_is_read_is_refused_and_many_have_no_one_name() -> None:
    with pytest.raises(LimitError, match="more than"):
        collected([{"name": f"p{n}"} for n in range(MAX_PROMPTS + 1)], "langfuse")
    with pytest.raises(LimitError, match="larger"):
        collect(b" " * (MAX_FILE_BYTES + 1), "langfuse")
    with pytest.raises(InvalidError, match="holds 2 prompts"):
        collected(PAIR, "langfuse", "one")
