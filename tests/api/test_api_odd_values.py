"""Values that no honest client sends are told of as mistakes, on every route."""

from __future__ import annotations

import re
from typing import Any
from urllib.parse import quote

from support.served_cases import POLICY, served

from signoff.foundation.database import Database

EVERYTHING = f'{POLICY}@id("all") permit (principal, action, resource);\n'
PLACES = {"project": "served", "environment": "dev", "version": "1.0.0", "label": "production"}


async def test_a_nul_is_nobodys_fault_but_the_askers(database: Database) -> None:
    async with served(database, policy=EVERYTHING) as here, here.raw() as http:
        operations: dict[str, dict[str, Any]] = (await http.get("/openapi.json")).json()["paths"]
        asked = 0
        for path, methods in operations.items():
            for method, operation in methods.items():
                names = re.findall(r"{(\w+)}", path)
                texts = [one["name"] for one in operation.get("parameters", ()) if _any_text(one)]
                # The last name of the path, with those before it as they are: they are looked up one after the other.
                filled = {name: PLACES.get(name, "x") for name in names} | ({names[-1]: "a\0b"} if names else {})
                address = re.sub(r"{(\w+)}", lambda match: quote(filled[match[1]], safe=""), path)  # noqa: B023
                if not names and not texts:
                    continue
                for query in [{name: "a\0b"} for name in texts] or [{}]:
                    body: dict[str, Any] = {"json": {}} if method in ("post", "put") else {}
                    answer = await http.request(method, address, params=query, **body)
                    assert answer.status_code < 500, (method, address, query, answer.text)
                    asked += 1
        assert asked > 60


def _any_text(parameter: dict[str, Any]) -> bool:
    """Whether a parameter of the query is any text: what has a form is held to it before anything is asked."""
    schema = parameter["schema"]
    forms = [schema, *schema.get("anyOf", ())]
    free = [one for one in forms if one.get("type") == "string" and not {"pattern", "format", "enum"} & one.keys()]
    return parameter["in"] == "query" and bool(free)


async def test_numbers_and_days_beyond_what_there_is(database: Database) -> None:
    async with served(database, policy=EVERYTHING) as here, here.raw() as http:
        history = "/v1/projects/served/environments/dev/history"
        assert (await http.get(history, params={"cursor": 10**40})).status_code == 422
        assert (await http.get(history, params={"cursor": 2**63 - 1})).status_code == 200
        first = "0001-01-01T00:00:00Z"
        assert (await http.get("/v1/outcomes", params={"until": first})).status_code == 422
        assert (await http.get("/v1/model-costs", params={"to": first[:10]})).status_code == 200


async def test_a_whole_number_that_would_be_rounded_is_refused(database: Database) -> None:
    async with served(database, policy=EVERYTHING) as here, here.raw() as http:
        body = b'{"type": "order.paid.v1", "data": {"order": 123456789012345678901}}'
        headers = {"content-type": "application/json"}
        answer = await http.post("/v1/events", content=body, headers=headers)
        assert answer.status_code == 400
        assert "character 44 of the body has more than 64 bits" in answer.json()["detail"]
        answer = await http.post("/v1/events", content=body.replace(b"123456", b""), headers=headers)
        assert answer.status_code != 400
