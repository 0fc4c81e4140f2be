"""`fields`: amounts, identifiers, dates and addresses found by rules. Fast, free, and never inventive.

The prompt's `x-extract` hints say what each field is. A field that is not found is null where the schema allows null,
and left out where it does not (so that the contract fails). Several different candidates are no answer: the field
is null, and named in the output's `ambiguous` (an array of names, or true for a boolean) where the schema has that
property. Guessing the first would let whoever writes the text choose by word order.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, cast

import orjson

from signoff.capabilities.gateway.provider import ProviderError, ProviderReply, ProviderRequest
from signoff.capabilities.gateway.providers.candidates import UNREADABLE, Value, find
from signoff.catalog.models import ModelSpec
from signoff.core.schemas import validate

MAX_TEXT_CHARACTERS = 20_000
"""Longer texts are refused, not cut: the field might be in the part cut off, and patterns may take long on them."""

AMBIGUOUS = "ambiguous"


class Fields:
    """The rule-based extractor."""

    name = "fields"
    tasks = frozenset({"extract"})
    local = True
    repairable = False

    async def complete(self, request: ProviderRequest) -> ProviderReply:
        """The fields of the hints as one JSON object, read from the prompt's text variables.

        Raises:
            ProviderError: there are no hints, a hint is wrong, or the text is too long.
        """
        if request.task != "extract":
            raise ProviderError("cannot", "fields extracts only.")
        if not request.hints or request.output_schema is None:
            raise ProviderError("setup", "Extraction by rules needs `x-extract` hints in the prompt's output schema.")
        text = "\n".join(value for value in request.variables.values() if isinstance(value, str))
        if len(text) > MAX_TEXT_CHARACTERS:
            raise ProviderError("rejected", f"The text is longer than {MAX_TEXT_CHARACTERS} characters.")
        return ProviderReply(orjson.dumps(_extract(text, request)).decode())

    async def embed(self, texts: Sequence[str]) -> Sequence[Sequence[float]]:  # noqa: ARG002  (the protocol's signature)
        """Never: rules have no vectors.

        Raises:
            ProviderError: always.
        """
        raise ProviderError("cannot", "fields extracts only.")

    async def aclose(self) -> None:
        """Nothing to give back."""


def _extract(text: str, request: ProviderRequest) -> dict[str, Any]:
    properties: Mapping[str, Any] = (request.output_schema or {}).get("properties", {})
    output: dict[str, Any] = {}
    ambiguous: list[str] = []
    for name, hint in request.hints.items():
        found = find(text, hint)
        if len(found) > 1 or UNREADABLE in found:
            ambiguous.append(name)
            found = []
        if found:
            output[name] = _as_declared(found[0], properties.get(name, {}))
        elif not validate(properties.get(name, {}), None):
            output[name] = None
    if AMBIGUOUS in properties and AMBIGUOUS not in request.hints:
        output[AMBIGUOUS] = bool(ambiguous) if properties[AMBIGUOUS].get("type") == "boolean" else ambiguous
    return output


def _as_declared(value: Value, schema: Mapping[str, Any]) -> Value:
    """An identifier as a number where the schema wants one."""
    declared: Any = schema.get("type")
    kinds: list[Any] = cast("list[Any]", declared) if isinstance(declared, list) else [declared]
    if (
        isinstance(value, str)
        and value.isascii()
        and value.isdecimal()
        and "integer" in kinds
        and "string" not in kinds
    ):
        return int(value)
    return value


def create(spec: ModelSpec) -> Fields:  # noqa: ARG001  (the signature of all factories; rules have no settings)
    """The provider of one configured model."""
    return Fields()
