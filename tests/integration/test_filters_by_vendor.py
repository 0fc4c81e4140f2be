"""The documentation's filter that asks a vendor by HTTP, on a worker: what it finds and that it is down stop a mail."""

from __future__ import annotations

import json
from collections.abc import Mapping
from http.server import BaseHTTPRequestHandler
from typing import Any

import pytest
from support.answer_runs import MAIL, MAIL_PY, project, staged
from support.docs_pages import page
from support.http_server import loopback_server, reply

from signoff.capabilities.validation.filters import Filter, default_filters
from signoff.foundation.database import Database

STEPS = """steps:
  mail: {tool: mail.send, with: {to: "a@shop.example", body: "${input.text}"}}
outcome: {sent: mail.done}
"""


def vendor() -> Any:
    [code] = [one.text for one in page("docs/reference/validation.md").snippets if "class VendorToxicity" in one.text]
    made: dict[str, Any] = {}
    exec(code, made)
    return made["VendorToxicity"]()


def judge(handler: BaseHTTPRequestHandler, body: bytes) -> None:
    text = json.loads(body)["text"]
    if "down" in text:
        reply(b"", status=503)(handler, body)
        return
    found = [{"category": "insult", "score": 0.93}] if "rude" in text else []
    reply(json.dumps({"found": found}).encode())(handler, body)


async def test_the_filter_of_the_documentation_judges_what_a_tool_sends(
    database: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    with loopback_server(judge) as server:
        monkeypatch.setenv("TOXICITY_URL", server.url)
        monkeypatch.setenv("TOXICITY_KEY", "k-1")
        made: Mapping[str, str] = project(
            STEPS, tools__mail_yaml=f"{MAIL}filters: [{{filter: toxicity}}]\n", tools__mail_py=MAIL_PY
        )
        asked = vendor()
        client = asked.client
        assert isinstance(asked, Filter)
        filters = {**default_filters(), "toxicity": asked}
        async with staged(database, made, filters=filters) as stage:
            ends: dict[str, str] = {}
            for text in ("kind words", "rude words", "it is down"):
                run_id = await stage.start({"text": text})
                status, _ = await stage.ended(run_id)
                ended = await stage.step(run_id, "mail")
                ends[text] = ended["error"]["kind"] if status == "failed" else status
                assert text not in str(ended.get("error"))
            assert ends == {"kind words": "done", "rude words": "filtered", "it is down": "filter_failed"}
        client.close()
        assert {one.headers["Authorization"] for one in server.received} == {"Bearer k-1"}
