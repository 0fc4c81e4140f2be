"""The OpenAPI document is whole, and the page that shows it needs nothing from elsewhere."""

from __future__ import annotations

import re
from typing import Any

import httpx
from support.api_cases import Api

from signoff.api.compatible.routes import endpoint_of


async def _document(api: Api) -> dict[str, Any]:
    async with httpx.AsyncClient(base_url=api.url, timeout=60) as client:
        return (await client.get("/openapi.json")).json()


async def test_every_operation_is_described(api: Api) -> None:
    document = await _document(api)
    ids: list[str] = []
    for path, operations in document["paths"].items():
        for method, operation in operations.items():
            where = f"{method} {path}"
            ids.append(operation["operationId"])
            assert re.fullmatch(r"[a-z][A-Za-z]+", operation["operationId"]), where
            assert operation["summary"], where
            assert operation["description"], where
            assert operation["tags"], where
            assert any(status.startswith("2") for status in operation["responses"]), where
            served = endpoint_of(path) is not None
            if path.startswith("/v1") or served:
                assert operation["security"] == [{"ApiKey": []}], where
                # The vendors' formats have no 422: what is wrong is 400 there.
                assert {"401", "400" if served else "422", "503"} <= operation["responses"].keys(), where
            for status, answer in operation["responses"].items():
                if status >= "400":
                    form = "application/json" if served else "application/problem+json"
                    assert form in answer["content"], f"{where} {status}"
    assert len(ids) == len(set(ids))


async def test_every_reference_leads_somewhere(api: Api) -> None:
    document = await _document(api)
    names = set(re.findall(r"'#/components/schemas/([^']+)'", str(document)))
    assert "Problem" in names
    assert names <= document["components"]["schemas"].keys()


async def test_the_page_is_self_contained_and_escaped(api: Api) -> None:
    async with httpx.AsyncClient(base_url=api.url, timeout=60) as client:
        page = await client.get("/docs")
    assert page.status_code == 200
    assert page.headers["content-type"].startswith("text/html")
    assert "default-src 'none'" in page.headers["content-security-policy"]
    assert "<script" not in page.text
    assert "http://" not in page.text
    assert "Decide a review" in page.text
    assert "<code>application/problem+json</code>" in page.text
    assert "<a href='#'>" not in page.text
    assert "/v1/reviews/{review_id}/decision" in page.text
