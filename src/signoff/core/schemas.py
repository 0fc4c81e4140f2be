"""JSON Schema 2020-12 for every room: is a schema sound, and does a value meet it. Pure: never fetches a reference."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from functools import lru_cache
from types import MappingProxyType
from typing import Any

import jsonschema_rs
import orjson

from signoff.core.errors import Problem

MAX_CACHED_VALIDATORS = 512
"""Compiled validators kept, by the schema's content; the least recently used goes first."""

MAX_PROBLEMS = 50
"""Problems reported for one value; a hostile value could break a schema in a million places."""

MAX_SCHEMA_BYTES = 256 * 1024
"""Size of one schema as JSON."""

PATTERN_BACKTRACK_LIMIT = 100_000
"""Steps that a `pattern` with look-around or back-references may take on one string, to stop hostile input."""

_MASK = "the value"
_WHOLE = "the value as a whole"

Schema = Mapping[str, Any] | bool

_NO_DOCUMENTS: Mapping[str, Any] = MappingProxyType({})


def check_schema(schema: Any) -> list[Problem]:
    """What is wrong with a schema itself (JSON Schema 2020-12, core and validation); empty when it is sound.

    A `$ref` may point into the schema only. The pointer of a problem leads into the schema.
    """
    if not isinstance(schema, (Mapping, bool)):
        return [Problem("A schema is an object.", pointer="", code="schema")]
    try:
        _validator(_key(schema))  # pyright: ignore[reportUnknownArgumentType]  (any mapping: its content is what is checked)
    except jsonschema_rs.ValidationError as error:
        return [_problem(error, code="schema")]
    except (ValueError, TypeError, RecursionError) as error:
        return [Problem(f"The schema is not JSON: {error}.", pointer="", code="schema")]
    return []


def validate(schema: Schema, value: Any) -> list[Problem]:
    """Where a value breaks its schema, at most `MAX_PROBLEMS`; empty when it meets it.

    Each problem names the field in its text and as a JSON Pointer (RFC 6901) into the value. Texts never repeat the
    value itself, because it may be secret or hostile. Formats are asserted.

    Raises:
        ValueError: the schema is not sound; `check_schema` says why.
    """
    return Validator(schema).problems(value)


class Validator:
    """A schema to hold many values to: `validate` finds the compiled one by the schema's whole text each time.

    Raises:
        ValueError: the schema is not sound; `check_schema` says why.
    """

    def __init__(self, schema: Schema) -> None:
        self._compiled = _validator(_key(schema))

    def problems(self, value: Any) -> list[Problem]:
        """Where a value breaks the schema, as `validate` tells it."""
        problems: list[Problem] = []
        try:
            if self._compiled.is_valid(value):
                return problems
            for error in self._compiled.iter_errors(value):
                problems.append(_problem(error, code="schema-mismatch"))
                if len(problems) == MAX_PROBLEMS:
                    break
        except (ValueError, TypeError, RecursionError) as error:
            return [Problem(f"The value is not JSON: {error}.", pointer="", code="schema-mismatch")]
        return problems


def pointer(path: Iterable[str | int]) -> str:
    """The JSON Pointer (RFC 6901) of a path of keys and indexes; `""` for the whole."""
    return "".join(f"/{str(part).replace('~', '~0').replace('/', '~1')}" for part in path)


def field_name(path: Iterable[str | int]) -> str:
    """A path as people write it: `ticket.lines[2].text`; empty for the whole."""
    text = ""
    for part in path:
        text += f"[{part}]" if isinstance(part, int) else f".{part}" if text else part
    return text


def _problem(error: jsonschema_rs.ValidationError, *, code: str) -> Problem:
    path = list(error.instance_path)
    name = getattr(error.kind, "name", "")
    if name == "required":
        missing = [*path, str(getattr(error.kind, "property", ""))]
        return Problem(f"'{field_name(missing)}' is missing.", pointer=pointer(missing), code=code)
    unexpected = getattr(error.kind, "unexpected", None)
    if name in ("additionalProperties", "unevaluatedProperties") and unexpected:
        extra = [*path, str(unexpected[0])]
        return Problem(f"'{field_name(extra)}' is not a known field.", pointer=pointer(extra), code=code)
    where = f"'{field_name(path)}'" if path else _WHOLE
    text = (
        error.message.removeprefix(_MASK).strip() if error.message.startswith(_MASK) else f"is wrong: {error.message}"
    )
    sentence = f"{where} {text}".rstrip(".")
    return Problem(f"{sentence[0].upper()}{sentence[1:]}.", pointer=pointer(path), code=code)


def _key(schema: Any) -> bytes:
    try:
        key = orjson.dumps(schema, option=orjson.OPT_SORT_KEYS)
    except (TypeError, ValueError):  # integers past 64 bits, or mappings that are no dict
        key = json.dumps(schema, sort_keys=True, default=dict, allow_nan=False).encode()
    if len(key) > MAX_SCHEMA_BYTES:
        raise ValueError(f"it has {len(key)} bytes, and {MAX_SCHEMA_BYTES} are the most")
    return key


@lru_cache(maxsize=MAX_CACHED_VALIDATORS)
def _validator(key: bytes) -> jsonschema_rs.Draft202012Validator:
    return compiled(json.loads(key))


def compiled(
    schema: Any, *, documents: Mapping[str, Any] = _NO_DOCUMENTS, formats: bool = True
) -> jsonschema_rs.Draft202012Validator:
    """The schema as the library runs it, never fetching anything.

    Args:
        schema: a sound schema.
        documents: other schemas that it may refer to, by their URIs.
        formats: whether `format` is asserted; the standard's default is that it only annotates.

    Raises:
        jsonschema_rs.ValidationError: the schema is not sound, or refers to what is in no document.
    """
    registry = jsonschema_rs.Registry(list(documents.items()), draft=jsonschema_rs.Draft202012) if documents else None
    return jsonschema_rs.Draft202012Validator(
        schema,
        validate_formats=formats,
        offline=True,
        registry=registry,
        mask=_MASK,
        pattern_options=jsonschema_rs.FancyRegexOptions(backtrack_limit=PATTERN_BACKTRACK_LIMIT),
    )
