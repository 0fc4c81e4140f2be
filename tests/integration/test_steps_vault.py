"""A run's vault: models and journals see tokens, tools that policy names see values, whichever worker goes on."""

from __future__ import annotations

import logging
import re
from collections.abc import Awaitable, Callable
from http.server import BaseHTTPRequestHandler
from typing import Any
from uuid import UUID

import orjson
import pytest
from support.answer_runs import LEAD, Stage, project, staged
from support.engine import until
from support.http_server import LoopbackServer, loopback_server

from signoff.capabilities.gateway.protection import Protector
from signoff.capabilities.gateway.provider import ProviderRequest
from signoff.core.clock import SystemClock
from signoff.core.errors import UnavailableError
from signoff.foundation.database import DEFAULT_ORG_ID, Database
from signoff.governance.privacy import Detector, Tokens
from signoff.governance.privacy.redaction import TOKEN
from signoff.governance.privacy.sealing import VaultKeys, key_id
from signoff.governance.privacy.vault import MAX_VALUES, Vault, Vaults
from signoff.runtime.client.forking import Fork, fork
from signoff.testing import ScriptedProvider

EMAIL = "ana.vaulted@example.com"
IBAN = "DE89370400440532013000"
PROMPT = """---
name: answer
version: 1.0.0
purpose: Says it again.
task: generate
input: {type: object, properties: {text: {type: string}}, required: [text]}
output: {type: object, properties: {text: {type: string}}, required: [text], additionalProperties: false}
---
# user
{{ text }}
"""
TOOL = """tool: NAME
about: Takes a text.
effect: write
trigger: any
http: {method: POST, url: "URL/NAME"}
input:
  type: object
  properties: {to: {type: string, x-signoff: {sink: any}}}
  required: [to]
output: {type: object, properties: {echo: {type: string}}, required: [echo]}
idempotency: {recovery: ask}
"""
STEPS = """steps:
  draft: {ai: answer@^1, with: {text: "${input.text}"}}
  again: {ai: answer@^1, with: {text: "${draft.text} ${input.text}"}}
  look: {review: Send it?, by: role/lead, show: [again.text]}
  mail: {requires: look, tool: mail.send, with: {to: "${again.text}"}}
  note: {after: look, tool: note.write, with: {to: "${again.text}"}}
outcome: {sent: mail.done && note.done}
"""
POLICY = """
@id("all")
permit (principal, action in [Action::"run.start", Action::"review.read", Action::"review.decide"], resource);
@id("models") @vault("contact, financial") permit (principal, action == Action::"model.call", resource);
@id("mail") @reveal("contact") permit (principal, action == Action::"tool.call", resource == Tool::"mail.send");
@id("note") permit (principal, action == Action::"tool.call", resource == Tool::"note.write");
"""


def repeating() -> ScriptedProvider:
    """A model that says what it was shown."""

    def said(request: ProviderRequest) -> dict[str, str]:
        shown = re.sub(r"</?data[^>]*>", "", request.messages[-1].content)
        return {"text": shown.strip()}

    return ScriptedProvider([said], repeat=True)


def echo(handler: BaseHTTPRequestHandler, body: bytes) -> None:
    content = orjson.dumps({"echo": f"Got {orjson.loads(body)['to']}"})
    if handler.path == "/mail.send" and b"fails" in body:
        content = b"cannot mail " + body
    handler.send_response(500 if content.startswith(b"cannot") else 200)
    handler.send_header("Content-Type", "application/json")
    handler.send_header("Content-Length", str(len(content)))
    handler.end_headers()
    handler.wfile.write(content)


def files(server: LoopbackServer) -> dict[str, str]:
    tools = {
        f"tools/{name}.yaml": TOOL.replace("NAME", name).replace("URL", server.url)
        for name in ("mail.send", "note.write")
    }
    made = project(STEPS, prompts__answer_md=PROMPT)
    models = "models: {a: {provider: scripted}}\nroutes: [{task: generate, use: [a]}]\n"
    return {**made, **tools, "policies/all.cedar": POLICY, "models.yaml": models}


def protected(database: Database, server: LoopbackServer, model: ScriptedProvider) -> Any:
    return staged(database, files(server), {"a": model}, protector=Protector(Detector()))


async def tables(database: Database) -> dict[str, str]:
    found: dict[str, str] = {}
    async with database.transaction(DEFAULT_ORG_ID) as connection:
        names = await connection.fetch(
            "SELECT relname FROM pg_class WHERE relkind = 'r' AND relnamespace = 'public'::regnamespace"
            " AND has_table_privilege(oid, 'SELECT')"
        )
        for row in names:
            rows = await connection.fetch(f'SELECT t::text AS row FROM "{row["relname"]}" AS t')
            found[row["relname"]] = "\n".join(one["row"] for one in rows)
    return found


async def waiting(stage: Stage) -> UUID:
    run_id = await stage.start({"text": f"Write to {EMAIL} about {IBAN}."})
    await until(stage.database, run_id, lambda run: any(one["kind"] == "review" for one in run.waiting_for), 60)
    return run_id


async def told(stage: Stage, run_id: UUID) -> str:
    """All that the run's journal says, but for what was there before the vault: the input, and steps' reading of it."""
    events = await stage.events(run_id)
    shown = [event.data for event in events if event.kind not in ("run.started", "step.started")]
    began = [event.data for event in events if event.kind == "step.started" and event.data["step"] in ("mail", "note")]
    return orjson.dumps([*shown, *began], default=str).decode()


async def test_values_are_seen_by_tools_that_policy_names_whichever_worker_goes_on(
    database: Database, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.DEBUG)
    model = repeating()
    with loopback_server(echo) as server:
        async with protected(database, server, model) as stage:
            run_id = await waiting(stage)
        first, second = (request.messages[-1].content for request in model.requests)
        [email, iban] = TOKEN.findall(first)
        assert TOKEN.findall(second) == [email, iban, email, iban], "the same value, the same token, in every call"
        assert EMAIL not in first + second
        # Another process: nothing of the first one's memory is left.
        async with protected(database, server, repeating()) as stage:
            await stage.decided(run_id)
            assert await stage.ended(run_id) == ("done", "sent"), await told(stage, run_id)
            mail, note = (orjson.loads(one.body)["to"] for one in sorted(server.received, key=lambda one: one.path))
            assert mail.count(EMAIL) == 2
            assert iban in mail, "of the kinds that it may see"
            assert IBAN not in mail
            assert email in note, "a tool that is not named gets tokens"
            assert EMAIL not in note
            assert email in (await stage.step(run_id, "mail"))["output"]["echo"]
            [seen] = await stage.facts(run_id, "vault.revealed")
            assert seen == {"tool": "mail.send", "kinds": ["EMAIL_ADDRESS"]}
            journal = await told(stage, run_id)
        rows = await tables(database)
    assert EMAIL not in journal
    assert IBAN not in journal
    assert EMAIL not in caplog.text
    assert rows["run_vault"]
    assert [name for name, row in rows.items() if EMAIL in row and name not in ("journal", "run_vault")] == []


async def test_what_a_tool_says_of_its_failure_has_no_value_in_it(database: Database) -> None:
    with loopback_server(echo) as server:
        async with protected(database, server, repeating()) as stage:
            run_id = await stage.start({"text": f"It fails: {EMAIL}."})
            await stage.decided(run_id)
            await until(database, run_id, _troubled, 60)
            assert EMAIL in str([one.body for one in server.received])
            journal = await told(stage, run_id)
    assert "mail.send" in journal
    assert EMAIL not in journal


def _troubled(run: Any) -> bool:
    kinds = {one["kind"] for one in run.waiting_for}
    return run.status in ("failed", "stuck") or bool(kinds - {"review"})


async def fork_of(stage: Stage, source: UUID) -> UUID:
    release = await stage.releases.load(DEFAULT_ORG_ID, (await stage.policies.deployed(DEFAULT_ORG_ID))["desk"])
    flow = release.project.workflows["desk/reply"]
    async with stage.database.transaction(DEFAULT_ORG_ID) as connection:
        asked = Fork(source, None, flow, flow, release.digest, None, LEAD, live=True, project="desk")
        return (await fork(connection, asked, now=SystemClock().now())).run_id


async def test_a_fork_has_a_copy_of_its_own(database: Database) -> None:
    with loopback_server(echo) as server:
        async with protected(database, server, repeating()) as stage:
            forked = await fork_of(stage, await waiting(stage))
            await stage.decided(forked)
            assert (await stage.ended(forked))[0] == "done"
            sent = [orjson.loads(one.body)["to"] for one in server.received if one.path == "/mail.send"]
            assert sent[0].count(EMAIL) == 2
    assert len({row.split(",")[1] for row in (await tables(database))["run_vault"].splitlines()}) == 2


async def test_a_vault_is_encrypted_by_the_newest_key_and_opens_by_every_one(database: Database) -> None:
    old, new = VaultKeys([b"o" * 32]), VaultKeys([b"n" * 32, b"o" * 32])
    detector = Detector()

    async def row(run_id: UUID) -> tuple[str, bytes]:
        async with database.transaction(DEFAULT_ORG_ID) as connection:
            found = await connection.fetchrow("SELECT key_id, tokens FROM run_vault WHERE run_id = $1", run_id)
        assert found is not None
        return found["key_id"], found["tokens"]

    def vault(run_id: UUID, keys: VaultKeys | None = None) -> Vault:
        return Vaults(keys).of(database, DEFAULT_ORG_ID, run_id)

    def adding(value: str) -> Callable[[Tokens], Awaitable[str]]:
        async def add(tokens: Tokens) -> str:
            return tokens.tokenised(value, detector.find, frozenset({"EMAIL_ADDRESS"}))

        return add

    with loopback_server(echo) as server:
        async with protected(database, server, repeating()) as stage:
            run_id = await waiting(stage)
            assert EMAIL.encode() in (await row(run_id))[1], "no keys: plain"
            await vault(run_id, old).sealing(adding("bob@example.com"))
            by, data = await row(run_id)
            assert by == key_id(b"o" * 32)
            assert b"example" not in data
            forked = await fork_of(stage, run_id)
    for one in (run_id, forked):
        assert EMAIL in (await vault(one, new).tokens()).values.values(), "a copy opens too"
        with pytest.raises(UnavailableError, match=by):
            await vault(one).tokens()
    await vault(run_id, new).sealing(adding("eve@example.com"))
    assert (await row(run_id))[0] == key_id(b"n" * 32)
    with pytest.raises(UnavailableError, match=key_id(b"n" * 32)):
        await vault(run_id, old).tokens()


async def test_two_that_add_values_at_once_both_find_theirs(database: Database) -> None:
    with loopback_server(echo) as server:
        async with protected(database, server, repeating()) as stage:
            run_id = await waiting(stage)
    detector = Detector()
    here, there = (Vaults().of(database, DEFAULT_ORG_ID, run_id) for _ in range(2))
    tried = 0

    async def add(tokens: Tokens) -> str:
        nonlocal tried
        tried += 1
        if tried == 1:
            await there.sealing(other)
        return tokens.tokenised("bob@example.com", detector.find, frozenset({"EMAIL_ADDRESS"}))

    async def other(tokens: Tokens) -> str:
        return tokens.tokenised("eve@example.com", detector.find, frozenset({"EMAIL_ADDRESS"}))

    token = await here.sealing(add)
    kept = await there.tokens()
    assert tried == 2
    assert kept.restored(token) == "bob@example.com"
    assert {*kept.values.values()} == {EMAIL, IBAN, "bob@example.com", "eve@example.com"}
    assert await here.sealing(add) == token
    assert len(kept) < MAX_VALUES
