"""Texts that leave by a tool or an event go through filters first; what is found is journaled without it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import pytest
from support.answer_runs import MAIL, MAIL_PY, project, staged

from signoff.capabilities.validation.filters import Found, default_filters
from signoff.catalog.projects import load_project_files
from signoff.core.errors import DefinitionError, UnavailableError
from signoff.foundation.database import Database

KEY = "key AKIAIOSFODNN7EXAMPLE"
SEND = 'tool: mail.send, with: {to: "a@shop.example", body: "${input.text}"}'
STEPS = "steps:\n  mail: {" + SEND + "}\noutcome: {sent: mail.done}\n"
TELL = """steps:
  told: {emit: desk.told.v1, payload: {deep: {text: "${input.text}"}}}
outcome: {told: told.done}
"""
REVIEWED = f"""steps:
  decision:
    review: Send this?
    needed: input.text != 'policy'
    by: role/lead
    show: [input.text]
  mail: {{requires: decision, {SEND}}}
outcome: {{sent: mail.done}}
"""
CAUGHT = f"""steps:
  mail:
    {SEND.split(",", maxsplit=1)[0]}
    with: {{to: "a@shop.example", body: "${{input.text}}"}}
    on_error:
      steps:
        look: {{review: Send this?, by: role/lead, show: [input.text, error.detail]}}
        again: {{requires: look, {SEND}}}
      give: {{sent: "${{again.sent}}"}}
outcome: {{sent: mail.done}}
"""


def files(steps: str, *, tool: str = "", whole: str = "", **more: str) -> dict[str, str]:
    made = project(steps, tools__mail_yaml=MAIL + tool, tools__mail_py=MAIL_PY, **more)
    return {**made, "signoff.yaml": made["signoff.yaml"] + whole}


async def test_a_filter_of_a_tools_contract_blocks_before_any_intent(database: Database) -> None:
    async with staged(database, files(STEPS, tool="filters: [{filter: secrets, field: body}]\n")) as stage:
        run_id = await stage.start({"text": KEY})
        assert await stage.ended(run_id) == ("failed", None)
        ended = await stage.step(run_id, "mail")
        assert ended["error"]["kind"] == "filtered"
        assert "What 'mail.send' would get may not go out: body" in ended["error"]["detail"]
        events = await stage.events(run_id)
        assert not [event for event in events if event.kind == "effect.intended"]
        [fact] = await stage.facts(run_id, "outgoing.filter")
        assert (fact["filter"], fact["field"], fact["verdict"], fact["target"]) == (
            "secrets",
            "body",
            "block",
            "mail.send",
        )
        assert KEY not in str([ended, fact])
        clean = await stage.start({"text": "Your parcel is on its way."})
        assert await stage.ended(clean) == ("done", "sent")
        assert await stage.facts(clean, "outgoing.filter") == []


async def test_the_projects_filters_hold_for_every_write_and_event_and_warn_lets_go(database: Database) -> None:
    whole = "filters: [{filter: secrets}, {filter: links, verdict: warn, hosts: [shop.example]}]\n"
    made = files(STEPS, whole=whole)
    made["workflows/tell.yaml"] = made["workflows/reply.yaml"].replace("desk/reply", "desk/tell").replace(STEPS, TELL)
    async with staged(database, made) as stage:
        run_id = await stage.start({"text": KEY}, "desk/tell")
        assert await stage.ended(run_id) == ("failed", None)
        [fact] = await stage.facts(run_id, "outgoing.filter")
        assert (fact["field"], fact["target"]) == ("deep/text", "desk.told.v1")
        warned = await stage.start({"text": "See https://evil.example/x"})
        assert await stage.ended(warned) == ("done", "sent")
        assert [fact["verdict"] for fact in await stage.facts(warned, "outgoing.filter")] == ["warn"]


async def test_what_is_declared_nearer_replaces_the_projects_filter(database: Database) -> None:
    own = "events: {desk.told.v1: {about: A test., filters: [{filter: secrets, verdict: warn}]}}\n"
    whole = f"filters: [{{filter: secrets}}]\n{own}"
    async with staged(database, files(TELL, whole=whole)) as stage:
        run_id = await stage.start({"text": KEY})
        assert await stage.ended(run_id) == ("done", "told")
        assert [fact["verdict"] for fact in await stage.facts(run_id, "outgoing.filter")] == ["warn"]


async def test_what_wants_a_person_goes_out_only_with_an_approval(database: Database) -> None:
    tool = "filters: [{filter: promises, verdict: review, words: [refund]}]\n"
    async with staged(database, files(REVIEWED, tool=tool)) as stage:
        asked = await stage.start({"text": "A refund is due."})
        await stage.decided(asked)
        assert await stage.ended(asked) == ("done", "sent")
        assert [fact["verdict"] for fact in await stage.facts(asked, "outgoing.filter")] == ["review"]
    with_policy = REVIEWED.replace("'policy'", "'A refund is due.'")
    async with staged(database, files(with_policy, tool=tool)) as stage:
        nobody = await stage.start({"text": "A refund is due."})
        assert await stage.ended(nobody) == ("failed", None)
        assert (await stage.step(nobody, "mail"))["error"]["kind"] == "unreviewed"


UNSEEN = """steps:
  decision: {review: Send this?, by: role/lead, propose: {body: "${input.text}"}, editable: [body], show: [input.text]}
  mail: {requires: decision, tool: mail.send, with: {to: "a@shop.example", body: "Hi. ${BODY}"}}
outcome: {sent: mail.done}
"""


@pytest.mark.parametrize(
    ("body", "ended"),
    [("decision.body", "done"), ("input.text", "done"), ("input.text + ' A refund.'", "failed")],
)
async def test_an_approval_is_of_what_the_review_showed(database: Database, body: str, ended: str) -> None:
    """A release of the last is refused by `signoff check` (`flow-unseen`); a worker holds to it all the same."""
    tool = "filters: [{filter: promises, verdict: review, words: [refund]}]\n"
    async with staged(database, files(UNSEEN.replace("BODY", body), tool=tool)) as stage:
        run_id = await stage.start({"text": "A refund is due."})
        await stage.decided(run_id, {"body": "No refund is due."})
        assert (await stage.ended(run_id))[0] == ended
        if ended == "failed":
            error = (await stage.step(run_id, "mail"))["error"]
            assert (error["kind"], "no approved review shows body" in error["detail"]) == ("unreviewed", True)


async def test_a_person_may_be_asked_once_a_filter_objects(database: Database) -> None:
    tool = "filters: [{filter: promises, verdict: review, words: [refund]}]\n"
    async with staged(database, files(CAUGHT, tool=tool)) as stage:
        run_id = await stage.start({"text": "A refund is due."})
        await stage.decided(run_id)
        assert await stage.ended(run_id) == ("done", "sent")
        harmless = await stage.start({"text": "Good morning."})
        assert await stage.ended(harmless) == ("done", "sent")


class Vendor:
    """Another filter under the same name."""

    def find(self, text: str, settings: Mapping[str, tuple[str, ...]]) -> Sequence[Found]:
        if "down" in text:
            raise UnavailableError("the vendor does not answer")
        return [Found("is called rude by a vendor")] if "rude" in text else []


async def test_a_vendors_filter_takes_the_place_and_what_it_cannot_judge_stays(database: Database) -> None:
    replaced = {**default_filters(), "toxicity": Vendor()}
    made = files(STEPS, tool="filters: [{filter: toxicity}]\n")
    async with staged(database, made, filters=replaced) as stage:
        kinds = dict[str, str]()
        for text in ("rude words", "down it is"):
            run_id = await stage.start({"text": text})
            assert (await stage.ended(run_id))[0] == "failed"
            kinds[text] = (await stage.step(run_id, "mail"))["error"]["kind"]
        assert kinds == {"rude words": "filtered", "down it is": "filter_failed"}


@pytest.mark.parametrize(
    ("made", "code"),
    [
        (files(STEPS, tool="filters: [{filter: secrets, verdict: change}]\n"), "unknown-value"),
        (files(STEPS, tool="filters: [{filter: secrets, field: text}]\n"), "unknown-value"),
        (files(STEPS, tool="filters: [{filter: html}]\n"), "missing-key"),
        (files(STEPS, tool="filters: [{filter: links, verdict: review}]\n"), "unheard-filter"),
        (files(STEPS, whole="filters: [{filter: promises}]\n"), "missing-key"),
        (files(TELL, whole="events: {'a b': {filters: [{filter: secrets}]}}\n"), "name"),
        (
            files(TELL, whole="events: {desk.told.v1: {filters: [{filter: links, verdict: review}]}}\n"),
            "unheard-filter",
        ),
        (files(TELL, whole="filters: [{filter: secret}]\n"), "unknown-value"),
    ],
)
def test_what_is_wrong_is_found_before_anything_runs(made: dict[str, str], code: str) -> None:
    with pytest.raises(DefinitionError) as caught:
        load_project_files({name: text.encode() for name, text in made.items()})
    assert code in [problem.code for problem in caught.value.problems], caught.value.problems
