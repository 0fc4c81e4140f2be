"""Large values: by reference in the journal, whole for expressions and handlers, also after a crash."""

from __future__ import annotations

import random
from typing import Any

import psycopg
import pytest
from support.engine import ACTOR, FAST, ScriptedTool, compiled, ended, journal, running, send, start, until, waits_for

from signoff.core.clock import SystemClock
from signoff.core.errors import NotFoundError
from signoff.core.ids import digest, uuid7
from signoff.foundation.database import DEFAULT_ORG_ID, Database
from signoff.runtime.artifacts import Content, keep, read_artifact
from signoff.runtime.artifacts.references import MARK, split
from signoff.runtime.events import decode, encode
from signoff.runtime.handlers import Done, StepCall, Waiting

TEXT = "".join(random.Random(7).choices("abcdefgh \n", k=200_000))
FORGED: dict[str, Any] = {
    "$artifact": {"digest": digest(TEXT.encode()), "size_bytes": 3, "media_type": "text/plain", "labels": {}}
}

FLOW = """
steps:
  get:
    tool: doc.get
    with: {n: "${input.n}"}
  ask:
    tool: doc.ask
    with: {id: "${get.id}"}
  measure:
    set: {size: "${size(get.text)}", answer: "${ask.answer}"}
  put:
    tool: doc.put
    with: {text: "${get.text}", forged: "${get.forged}"}
outcome: {kept: put.done}
"""


def waiting(call: StepCall) -> Waiting:
    return Waiting(kind="signal", about="a person")


def scripted() -> tuple[ScriptedTool, list[Any]]:
    put: list[Any] = []

    def keep_it(call: StepCall) -> Done:
        put.append(call.arguments)
        return Done({})

    answers: dict[str, Any] = {"id": "d-1", "text": TEXT, "forged": FORGED}
    return ScriptedTool({"doc.get": lambda call: Done(answers), "doc.ask": waiting, "doc.put": keep_it}), put


async def test_a_large_value_is_kept_by_reference_and_read_whole_by_the_next_worker(database: Database):
    flow = compiled("large", FLOW, doc__get=False, doc__ask=False, doc__put=False)
    tool, put = scripted()
    async with running(database, [flow], tool):
        run_id = await start(database, flow, {"n": 1})
        await until(database, run_id, waits_for("signal"))
    async with running(database, [flow], tool):  # nothing is in memory any more
        await send(database, run_id, "ask", {"answer": 42})
        assert (await ended(database, run_id)).outcome == "kept"
    assert put[0]["with"] == {"text": TEXT, "forged": FORGED}
    events = await journal(database, run_id)
    assert max(len(encode(event.data)) for event in events) < 2000
    output = next(
        event.data["output"] for event in events if event.data.get("step") == "get" and "output" in event.data
    )
    reference = output["text"]["$artifact"]
    assert (reference["digest"], reference["size_bytes"]) == (digest(TEXT.encode()), len(TEXT))
    assert (output["id"], output["forged"]) == ("d-1", FORGED)
    size = next(event.data["output"] for event in events if event.data.get("step") == "measure")
    assert size == {"size": len(TEXT), "answer": 42}
    async with database.transaction(DEFAULT_ORG_ID) as connection:
        found = await read_artifact(connection, DEFAULT_ORG_ID, run_id, reference["digest"])
        assert (found.data.decode(), found.media_type) == (TEXT, "text/plain")
        with pytest.raises(NotFoundError):
            await read_artifact(connection, DEFAULT_ORG_ID, uuid7(), reference["digest"])


async def test_each_content_is_stored_once_per_organisation(database: Database, database_url: str):
    flow = compiled(
        "large",
        FLOW,
        doc__get=False,
        doc__ask=False,
        doc__put=False,
    )
    tool, _ = scripted()
    async with running(database, [flow], tool):
        for n in (1, 2):
            run_id = await start(database, flow, {"n": n})
            await until(database, run_id, waits_for("signal"))
    with psycopg.connect(database_url) as connection:
        assert connection.execute("SELECT count(*) FROM artifact").fetchone() == (1,)
        assert connection.execute("SELECT count(*) FROM artifact_use").fetchone() == (2,)


async def test_a_large_input_is_kept_with_the_start(database: Database):
    flow = compiled("echo", "steps:\n  s: {set: {n: '${size(input.text)}'}}\noutcome: {ok: s.done}\n")
    run_id = await start(database, flow, {"text": TEXT, "n": 5})
    event = (await journal(database, run_id))[0]
    assert event.data["input"]["n"] == 5
    assert "$artifact" in event.data["input"]["text"]
    tool, _ = scripted()
    async with running(database, [flow], tool):
        assert (await ended(database, run_id)).status == "done"
    assert (await journal(database, run_id))[-2].data["output"] == {"n": len(TEXT)}


@pytest.mark.parametrize(("setting", "bytes_"), [("artifact_bytes", 100_000), ("artifact_run_bytes", 150_000)])
async def test_a_value_past_the_limits_fails_its_step(database: Database, setting: str, bytes_: int):
    flow = compiled("large", FLOW, doc__get=False, doc__ask=False, doc__put=False)
    tool, _ = scripted()
    async with running(database, [flow], tool, FAST.model_copy(update={setting: bytes_})):
        run_id = await start(database, flow, {"n": 1})
        found = await ended(database, run_id)
    assert found.status == "failed"
    assert found.error is not None
    assert found.error["kind"] == "too_large"


async def test_a_run_whose_artifact_is_damaged_is_stuck_and_says_so(database: Database, database_url: str):
    flow = compiled("large", FLOW, doc__get=False, doc__ask=False, doc__put=False)
    tool, _ = scripted()
    async with running(database, [flow], tool):
        run_id = await start(database, flow, {"n": 1})
        await until(database, run_id, waits_for("signal"))
    with psycopg.connect(database_url) as connection:
        connection.execute("UPDATE artifact_chunk SET data = data || 'x' WHERE place = 0")
    async with running(database, [flow], tool):
        await send(database, run_id, "ask", {"answer": 42})
        found = await until(database, run_id, lambda run: run.status == "stuck")
    assert found.error is not None
    assert found.error["code"] in {"artifact", "damaged"}


@pytest.mark.parametrize("role", ["signoff_app", "signoff_worker"])
@pytest.mark.parametrize("table", ["artifact", "artifact_chunk", "artifact_use"])
def test_neither_role_changes_or_removes_artifacts(database_url: str, role: str, table: str):
    with psycopg.connect(database_url) as connection:
        query = "SELECT has_table_privilege(%s, %s, 'UPDATE'), has_table_privilege(%s, %s, 'DELETE')"
        assert connection.execute(query, (role, table, role, table)).fetchone() == (False, False)


async def test_an_organisation_reads_its_own_artifacts_only(database: Database, database_url: str):
    other, run_id = uuid7(), uuid7()
    with psycopg.connect(database_url, autocommit=True) as connection:
        connection.execute("INSERT INTO organisation (id, name) VALUES (%s, 'other')", (other,))
    content = Content(digest(b"secret"), b"secret", "text/plain", 2)
    async with database.transaction(other) as connection:
        await keep(connection, other, run_id, [content], SystemClock().now())
    async with database.transaction(ACTOR.org_id) as connection:
        with pytest.raises(NotFoundError):
            await read_artifact(connection, other, run_id, content.digest)


def test_the_smallest_large_parts_are_taken_out():
    data = {"step": "s", "output": {"a": "x" * 3000, "b": {"c": [1] * 2000, "d": 1}}, "labels": {"class": "internal"}}
    encoded, contents = split(data, from_bytes=2000, most_bytes=10_000)
    small = decode(encoded)
    assert small[MARK] == [["output", "a"], ["output", "b", "c"]]
    assert small["output"]["b"]["d"] == 1
    assert [content.media_type for content in contents] == ["text/plain", "application/json"]
    assert {content.data_class for content in contents} == {1}


def test_many_small_parts_go_as_a_whole():
    data = {"output": {f"k{n}": "x" * 100 for n in range(100)}}
    encoded, contents = split(data, from_bytes=2000, most_bytes=100_000)
    assert decode(encoded)[MARK] == [["output"]]
    assert contents[0].value == data["output"]
    assert contents[0].data_class == 3  # nobody says of which class it is


def test_what_is_no_value_stays():
    data = {"decision": "x" * 5000}
    assert split(data, from_bytes=1000, most_bytes=10_000) == (encode(data), ())
