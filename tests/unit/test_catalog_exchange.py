"""Prompts as Langfuse's and LangSmith's APIs give them become files that say the same, and tell what they leave out."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import pytest

from signoff.catalog.prompts import Prompt
from signoff.catalog.registry.exchange import Imported, import_prompt
from signoff.catalog.registry.versions import parse_source
from signoff.core.errors import InvalidError

ANSWER: Mapping[str, Any] = {
    "title": "Critique",
    "type": "object",
    "properties": {"title": {"type": "string"}, "stars": {"type": "integer"}},
    "required": ["title", "stars"],
    "additionalProperties": False,
}
LANGFUSE: Mapping[str, Any] = {
    "id": "cm5x0",
    "name": "Movie Critic",
    "version": 7,
    "type": "chat",
    "prompt": [
        {
            "type": "chatmessage",
            "role": "system",
            "content": 'You are {{level}}. Like {"film": {{film}}, "by": "{{by}}"}',
        },
        {"role": "user", "content": "# Users\nAnd {{ film }}?"},
    ],
    "config": {
        "model": "gpt-4o",
        "temperature": 0.7,
        "max_tokens": 300,
        "response_format": {"type": "json_schema", "json_schema": {"name": "critique", "schema": ANSWER}},
    },
    "labels": ["production", "latest"],
    "tags": ["movies"],
    "resolutionGraph": None,
}


def built(*path: str, **kwargs: Any) -> dict[str, Any]:
    return {"lc": 1, "type": "constructor", "id": list(path), "kwargs": kwargs}


def template(text: str, form: str = "f-string", **more: Any) -> dict[str, Any]:
    return built("langchain", "prompts", "prompt", "PromptTemplate", template=text, template_format=form, **more)


def message(kind: str, prompt: Any, **more: Any) -> dict[str, Any]:
    return built("langchain", "prompts", "chat", f"{kind}MessagePromptTemplate", prompt=prompt, **more)


def chat(*messages: Any, kind: str = "ChatPromptTemplate", **more: Any) -> dict[str, Any]:
    return built("langchain", "prompts", "chat", kind, messages=list(messages), **more)


def read(imported: Imported) -> Prompt:
    return parse_source(f"prompts/{imported.name}.md", imported.text)


def said(prompt: Prompt, **values: str) -> list[str]:
    """What a model is told, without the delimiters of data and the notice about them."""
    texts = [one.content for one in prompt.render(values)]
    for name, value in values.items():
        texts = [text.replace(f'<data name="{name}">{value}</data>', value) for text in texts]
    return [text.partition("\n\nText between <data")[0] for text in texts if not text.startswith("Text between")]


def test_a_prompt_of_langfuse_keeps_its_words_its_answer_and_its_length() -> None:
    imported = import_prompt(LANGFUSE, "langfuse")
    prompt = read(imported)
    assert (prompt.name, prompt.max_output_tokens, dict(prompt.output_schema)) == ("movie-critic", 300, ANSWER)
    assert said(prompt, level="kind", film="Up", by="me") == [
        'You are kind. Like {"film": Up, "by": "me"}',
        "# Users\nAnd Up?",
    ]
    assert "version 7 of Langfuse" in prompt.purpose
    (note,) = imported.notes
    for left in ("'model'", "'temperature'", "labels production", "tags movies", "models.yaml"):
        assert left in note
    assert "latest" not in note
    assert "name: movie-critic\nversion: 1.0.0\n" in imported.text


def test_a_commit_of_langsmith_with_a_structured_prompt_and_its_model() -> None:
    prompt = chat(
        message("System", template('Be {tone}. {{"film": {film}}}', partial_variables={"tone": "kind"})),
        message("Human", [template("About {film}"), template("and {by}.")]),
        kind="StructuredPrompt",
        schema_=ANSWER,
        metadata={"lc_hub_owner": "-", "lc_hub_repo": "critic"},
    )
    model = built("langchain", "schema", "runnable", "RunnableBinding", bound={})
    commit: dict[str, Any] = {
        "commit_hash": "56489e79537fc477",
        "manifest": built("langchain", "schema", "runnable", "RunnableSequence", first=prompt, last=model),
        "examples": [],
    }
    imported = import_prompt(commit, "langsmith")
    found = read(imported)
    assert (found.name, dict(found.output_schema)) == ("critic", ANSWER)
    assert said(found, film="Up", by="me") == ['Be kind. {"film": Up}', "About Up\nand me."]
    assert ("commit 56489e79" in found.purpose, "model that it was tried with" in imported.notes[0]) == (True, True)
    commit["manifest"]["id"] = ["langsmith", "playground", "PromptPlayground"]
    assert import_prompt(commit, "langsmith") == imported


@pytest.mark.parametrize(
    ("source", "form", "text"),
    [
        ("{{{{x}}}} is {x}", "f-string", "{{x}} is 1"),
        ("{{% if %}} {{# no #}} {{{x}}}", "f-string", "{% if %} {# no #} {1}"),
        ('{{"a": {{"b": {x}}}}}', "f-string", '{"a": {"b": 1}}'),
        ("{{{x}}} and {{& x }}", "mustache", "1 and 1"),
        ('{"a": {"b": {{x}}}}', "mustache", '{"a": {"b": 1}}'),
    ],
)
def test_braces_stay_what_they_were(source: str, form: str, text: str) -> None:
    prompt = read(import_prompt(chat(message("Human", template(source, form))), "langsmith"))
    assert said(prompt, x="1") == [text]


def test_names_that_ours_cannot_have_are_told() -> None:
    data = {"name": "a", "prompt": "{{customer name}} {{labels}}", "config": {"json_schema": {"type": "array"}}}
    imported = import_prompt(data, "langfuse")
    assert list(read(imported).input_schema["properties"]) == ["customer_name", "labels_given"]
    assert len(imported.notes) == 4  # two names, the schema that is none of an object, one text instead
    assert "output schema cannot be taken over" in " ".join(imported.notes)


@pytest.mark.parametrize(
    ("data", "form", "told"),
    [
        ({"prompt": "@@@langfusePrompt:name=rules|label=production@@@\nAnswer."}, "langfuse", "resolve=true"),
        (
            chat(built("langchain", "prompts", "chat", "MessagesPlaceholder", variable_name="history")),
            "langsmith",
            "placeholder 'history'",
        ),
        (chat(message("Human", template("{amount:.2f}"))), "langsmith", "more than a variable"),
        (chat(message("Human", template("{% if x %}", "jinja2"))), "langsmith", "'jinja2'"),
        (chat(message("Human", template("{{#x}}y{{/x}}", "mustache"))), "langsmith", "by hand"),
        (chat(message("Human", [template("a"), built("x", "ImagePromptTemplate")])), "langsmith", "more than text"),
        (built("langchain", "chains", "LLMChain"), "langsmith", "'LLMChain'"),
        ({"lc": 1}, "langsmith", "thing without an id"),
    ],
)
def test_what_ours_cannot_say_is_refused_in_words(data: Any, form: Any, told: str) -> None:
    with pytest.raises(InvalidError, match=told.replace("|", ".")):
        import_prompt(data, form)
