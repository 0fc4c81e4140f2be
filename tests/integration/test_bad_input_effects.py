"""Tools that fail, and writes that may have happened, on the whole stack: what a user really gets."""

from __future__ import annotations

import json
from http.server import BaseHTTPRequestHandler
from pathlib import Path
from typing import Any

from support.bad_input_cases import keys_of, stage
from support.http_server import LoopbackServer, disconnect, reply

from signoff.foundation.database import Database


async def test_a_read_that_fails_says_how(database: Database, tmp_path: Path, shop: LoopbackServer) -> None:
    answers: list[tuple[Any, str, str]] = [
        (reply(status=500), "http_500", "HTTP status 500"),
        (shop.hang, "timeout", "within 0.3 s"),
        (reply(b'{"cents": "many"}'), "contract", "'cents'"),
        (reply(b"<html>", content_type="text/html"), "contract", "not JSON"),
        (disconnect, "connection", "broke"),
    ]
    async with stage(database, tmp_path, shop_url=shop.url) as play:
        for answer, kind, words in answers:
            shop.answer = answer
            run = await play.ended(await play.start("look"))
            assert (run["status"], run["error"]["step"], run["error"]["kind"]) == ("failed", "order", kind)
            assert "shop.order" in run["error"]["detail"]
            assert words in run["error"]["detail"]


async def test_a_write_that_may_have_happened_is_sent_again_with_its_key(
    database: Database, tmp_path: Path, shop: LoopbackServer
) -> None:
    script = [reply(status=500), disconnect, reply(b'{"id": "r-1"}')]

    def answer(handler: BaseHTTPRequestHandler, body: bytes) -> None:
        script.pop(0)(handler, body)

    shop.answer = answer
    async with stage(database, tmp_path, shop_url=shop.url) as play:
        run = await play.ended(run_id := await play.start("resent"))
    assert (run["status"], run["outcome"]) == ("done", "paid")
    assert keys_of(shop) == {f"{run_id}/pay": 3}


async def test_a_write_that_may_have_happened_is_looked_up(
    database: Database, tmp_path: Path, shop: LoopbackServer
) -> None:
    def answer(handler: BaseHTTPRequestHandler, body: bytes) -> None:
        paid = handler.command == "GET"
        (reply(b'{"id": "r-9"}') if paid else reply(status=502))(handler, body)

    shop.answer = answer
    async with stage(database, tmp_path, shop_url=shop.url) as play:
        run = await play.ended(run_id := await play.start("found"))
        ends = [event["data"] for event in await play.journal(run_id) if event["kind"] == "step.ended"]
    assert (run["status"], ends[0]["output"]) == ("done", {"id": "r-9"})
    assert keys_of(shop) == {f"{run_id}/pay": 1}


async def test_a_person_says_what_became_of_a_write(database: Database, tmp_path: Path, shop: LoopbackServer) -> None:
    shop.answer = reply(status=500)
    async with stage(database, tmp_path, shop_url=shop.url) as play:
        run_id = await play.start("asked")
        run = await play.waiting(run_id, "outcome_unknown")
        assert "effect.resolution" in run["waiting_for"][0]["about"]
        shown = await play.command("runs", "show", run_id)
        assert "http_500" in shown.out
        data = json.dumps({"resolution": "happened", "output": {"id": "r-7"}})
        sent = await play.command("runs", "signal", run_id, "pay", "--kind", "effect.resolution", "--data", data)
        assert sent.code == 0, sent.err
        run = await play.ended(run_id)
        step = run["steps"][0]
    assert (run["status"], run["outcome"]) == ("done", "paid")
    assert (step["status"], step["decided_by"]) == ("done", "user/tester")
    assert len(shop.received) == 1


async def test_a_person_says_that_it_did_not_happen_or_that_it_failed(
    database: Database, tmp_path: Path, shop: LoopbackServer
) -> None:
    shop.answer = reply(status=500)
    async with stage(database, tmp_path, shop_url=shop.url) as play:
        again, given_up = await play.start("asked"), await play.start("asked")
        for run_id in (again, given_up):
            await play.waiting(run_id, "outcome_unknown")
        shop.answer = reply(b'{"id": "r-2"}')
        assert (await play.signal(again, "pay", {"resolution": "retry"})).status_code == 202
        assert (await play.signal(given_up, "pay", {"resolution": "failed"})).status_code == 202
        assert (await play.ended(again))["outcome"] == "paid"
        run = await play.ended(given_up)
    assert (run["status"], run["error"]["kind"]) == ("failed", "resolved")
    assert "user/tester" in run["error"]["detail"]


async def test_a_persons_word_that_is_none_is_refused_and_the_step_waits_on(
    database: Database, tmp_path: Path, shop: LoopbackServer
) -> None:
    words_that_are_none: list[tuple[str, Any, str, str]] = [
        ("pay", {"resolution": "hapened"}, "/data/resolution", "Did you mean 'happened'?"),
        ("pay", {}, "/data/resolution", "happened, retry or failed"),
        ("pay", {"resolution": "happened"}, "/data/output", "payments.asked"),
        ("pay", {"resolution": "happened", "output": "r-1"}, "/data/output", "object"),
        ("pay", {"resolution": "happened", "output": {"id": 7}}, "/data/output/id", "id"),
        ("pya", {"resolution": "retry"}, "/step", "Did you mean 'pay'?"),
    ]
    shop.answer = reply(status=500)
    async with stage(database, tmp_path, shop_url=shop.url) as play:
        run_id = await play.start("asked")
        for step, data, pointer, said in words_that_are_none:
            await play.waiting(run_id, "outcome_unknown")
            answer = await play.signal(run_id, step, data)
            assert answer.status_code == 422, answer.text
            (problem,) = answer.json()["errors"]
            assert problem["pointer"] == pointer
            assert said in f"{problem['detail']} {problem.get('suggestion', '')}"
        await play.waiting(run_id, "outcome_unknown")
