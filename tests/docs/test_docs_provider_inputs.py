"""What the reference says of pictures, files, streams and forms is what each kind's format does."""

from __future__ import annotations

from typing import Any

import pytest
from support.docs_pages import page, rows, words

from signoff.capabilities.gateway.chat import ChatMessage, ChatRequest, DocumentPart, ImagePart, Part, TextPart
from signoff.capabilities.gateway.provider import ProviderError
from signoff.capabilities.gateway.providers import default_factories
from signoff.capabilities.gateway.providers.vendors import Vendor
from signoff.catalog.models import LOCAL_PROVIDERS, PROVIDER_TASKS, ModelSpec

SETTINGS = {"model": "m", "api_key": "k", "base_url": "http://127.0.0.1:1", "access_token": "t", "project": "p"}
SCHEMA: dict[str, Any] = {
    "type": "object",
    "properties": {"a": {"type": "string"}},
    "required": ["a"],
    "additionalProperties": False,
}
TABLE = page("docs/reference/providers.md").section("## Pictures, files, streams and forms")


def _takes(vendor: Vendor, part: Part, *, stream: bool) -> bool:
    request = ChatRequest((ChatMessage("user", (TextPart("x"), part)),), max_output_tokens=10)
    try:
        vendor.wire.body(request, "m", stream=stream)
    except ProviderError as error:
        return error.kind != "cannot"
    return True


def _cells() -> list[tuple[str, str, list[str]]]:
    found: list[tuple[str, str, list[str]]] = []
    for cells in rows(TABLE):
        named = words(cells[0])
        apis = [one.removeprefix("api: ") for one in named if one.startswith("api: ")]
        kinds = [one for one in named if not one.startswith("api: ")]
        if cells[0].startswith("the same"):
            kinds = ["openai", "azure_openai", "openai_compatible", "openrouter"]
        found += [(kind, apis[0] if apis else "", cells[1:]) for kind in kinds]
    return found


@pytest.mark.parametrize(("kind", "api", "told"), _cells(), ids=lambda one: one if isinstance(one, str) else "")
def test_what_a_kind_takes_is_what_the_reference_says(kind: str, api: str, told: list[str]) -> None:
    settings = {**SETTINGS, "region": "eu-central-1"} | ({"api": api} if api else {})
    vendor = default_factories()[kind](ModelSpec("m", kind, settings))
    assert isinstance(vendor, Vendor)
    where: dict[str, dict[str, Any]] = {"bytes": {"data": b"1"}, "url": {"url": "https://example.test/x"}}
    for stream in (False, True):
        pictures = [name for name, of in where.items() if _takes(vendor, ImagePart("image/png", **of), stream=stream)]
        files = [
            name for name, of in where.items() if _takes(vendor, DocumentPart("application/pdf", **of), stream=stream)
        ]
        assert [", ".join(pictures), ", ".join(files)] == told[:2]
    assert told[2] == "yes"
    assert told[3] == ("words" if vendor.wire.shape(SCHEMA, "m") is None else "schema")


def test_every_vendor_is_told() -> None:
    assert {kind for kind, _, _ in _cells()} == PROVIDER_TASKS.keys() - LOCAL_PROVIDERS
