"""The OpenAPI document as one page of HTML that works without a network."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from html import escape
from typing import Any

_STYLE = """:root{color-scheme:light dark}
body{font:16px/1.5 system-ui,sans-serif;max-width:60rem;margin:2rem auto;padding:0 1rem;color:#1c2024}
h2{margin-top:2.5rem}code,pre{font-family:ui-monospace,monospace;font-size:.9em}
details{border:1px solid #d5d9de;border-radius:6px;margin:.5rem 0;padding:.5rem 1rem}summary{cursor:pointer}
pre{background:#f4f6f8;padding:.75rem;overflow:auto;border-radius:6px}table{border-collapse:collapse}
td,th{border:1px solid #d5d9de;padding:.25rem .5rem;text-align:left}
.method{display:inline-block;width:4rem;font-weight:600}
@media(prefers-color-scheme:dark){body{background:#14171a;color:#e6e8ea}pre{background:#1f2428}}"""

_CODE = re.compile(r"`([^`]+)`")


def page_of(document: Mapping[str, Any]) -> str:
    """The page. All text of the document is escaped."""
    parts = [
        "<!doctype html><html lang=en><meta charset=utf-8><meta name=viewport content='width=device-width'>",
        f"<title>{escape(document['info']['title'])} API</title><style>{_STYLE}</style>",
        f"<h1>{escape(document['info']['title'])} API <small>{escape(document['info']['version'])}</small></h1>",
        *(f"<p>{_words(text)}</p>" for text in document["info"]["description"].split("\n\n")),
        "<p>For machines: <a href=/openapi.json>/openapi.json</a></p>",
    ]
    by_tag: dict[str, list[str]] = {}
    for path, operations in document["paths"].items():
        for method, operation in operations.items():
            by_tag.setdefault(operation["tags"][0], []).append(_operation(path, method, operation))
    for tag, found in by_tag.items():
        parts += [f"<h2>{escape(tag)}</h2>", *found]
    parts.append("<h2>schemas</h2>")
    for name, schema in document["components"]["schemas"].items():
        about = f"<p>{_words(schema.get('description', ''))}</p>"
        parts.append(f"<details id='{escape(name)}'><summary>{escape(name)}</summary>{about}{_json(schema)}</details>")
    return "".join(parts)


def _operation(path: str, method: str, operation: Mapping[str, Any]) -> str:
    rows = "".join(
        f"<tr><td><code>{escape(parameter['name'])}</code><td>{escape(parameter['in'])}"
        f"<td>{_words(parameter.get('description', ''))}"
        for parameter in operation.get("parameters", ())
    )
    body = operation.get("requestBody", {}).get("content", {}).get("application/json", {}).get("schema", {})
    answers = "".join(
        f"<tr><td>{escape(status)}<td>{_words(answer.get('description', ''))}"
        for status, answer in operation["responses"].items()
    )
    return (
        f"<details><summary><span class=method>{escape(method.upper())}</span> <code>{escape(path)}</code> "
        f"{escape(operation['summary'])}</summary><p>{_words(operation.get('description', ''))}</p>"
        + (f"<table><tr><th>parameter<th>in<th>about{rows}</table>" if rows else "")
        + (f"<p>Body: {_reference(body)}</p>" if "$ref" in body else "")
        + f"<table><tr><th>status<th>meaning{answers}</table></details>"
    )


def _reference(schema: Mapping[str, Any]) -> str:
    name = escape(str(schema["$ref"]).rpartition("/")[2])
    return f"<a href='#{name}'>{name}</a>"


def _words(text: str) -> str:
    """A description, with what it quotes as code."""
    return _CODE.sub(r"<code>\1</code>", escape(text))


def _json(value: Any) -> str:
    return f"<pre>{escape(json.dumps(value, indent=2))}</pre>"
