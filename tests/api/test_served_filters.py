"""Content filters of a project as the official SDKs see them, with the filters that come with Signoff."""

from __future__ import annotations

from typing import Any

import anthropic
import openai
import pytest
from support.served_cases import POLICY, QUICK, drained, served

from signoff.capabilities.gateway import Gateway
from signoff.foundation.database import Database
from signoff.steps.filtering import DeploymentFilters

MANIFEST = """
project: served
roles: {program: Calls models.}
screening:
  in:
    - {filter: secrets}
    - {filter: toxicity, verdict: warn}
  out:
    - {filter: toxicity, words: [parcel]}
"""
SECRET = "sk-ant-api03-" + "aB3dE5fG7hJ9kL1m" * 6
FILTERED = POLICY.replace('@id("models-see-the-usual")', '@filter("in: personal_data")\n@id("models-see-the-usual")')


def gateway() -> Gateway:
    return Gateway(settings=QUICK, environment={"VENDOR_KEY": "sk-vendor"}, filters=DeploymentFilters())


def said(text: str) -> Any:
    return [{"role": "user", "content": text}]


async def test_what_filters_block_is_told_as_each_sdk_expects_it(database: Database) -> None:
    files = {"signoff.yaml": MANIFEST}
    async with (
        served(database, files=files, gateway=gateway()) as here,
        here.openai() as client,
        here.anthropic() as other,
    ):
        chats, messages = client.chat.completions, other.messages
        with pytest.raises(openai.BadRequestError) as caught:
            await chats.create(model="says", messages=said(f"My key is {SECRET}."))
        assert caught.value.code == "content_filter"
        assert SECRET not in str(caught.value)
        with pytest.raises(anthropic.BadRequestError, match="secrets"):
            await messages.create(model="says", max_tokens=9, messages=said(f"My key is {SECRET}."))
        assert not here.vendor.asked, "nobody was shown it"

        answer: Any = await chats.create(model="says", messages=said("Where, you idiot?"))
        assert (answer.choices[0].finish_reason, answer.choices[0].message.content) == ("content_filter", "")
        assert answer.usage.total_tokens == 18
        chunks: list[Any] = []
        await drained(chats.create(model="says", messages=said("Where?"), stream=True), chunks)
        assert [chunk.choices[0].finish_reason for chunk in chunks if chunk.choices][-1] == "content_filter"
        assert not any(chunk.choices[0].delta.content for chunk in chunks if chunk.choices)

        message = await messages.create(model="says", max_tokens=9, messages=said("Where?"))
        assert (message.stop_reason, message.content) == ("refusal", [])
        async with messages.stream(model="says", max_tokens=9, messages=said("Where?")) as stream:
            assert (await stream.get_final_message()).stop_reason == "refusal"

        response: Any = await client.responses.create(model="says", input="Where?")
        assert (response.status, response.incomplete_details.reason) == ("incomplete", "content_filter")


async def test_a_permits_filter_and_what_no_model_reads_are_typed(database: Database) -> None:
    vendor_model = {"provider": "openai_compatible", "base_url": "http://127.0.0.1:9/v1", "model": "blind"}
    routes = [{"task": task, "use": ["blind"]} for task in ("chat", "embed")]
    blind = {"models": {"blind": {**vendor_model, "price": "free", "modalities": ["text"]}}, "routes": routes}
    async with served(database, policy=FILTERED, gateway=gateway(), more=blind) as here, here.openai() as client:
        with pytest.raises(openai.BadRequestError, match="personal_data") as caught:
            await client.chat.completions.create(model="blind", messages=said("Mail ana@example.com."))
        assert caught.value.code == "content_filter"
        picture: Any = {"type": "image_url", "image_url": {"url": "data:image/png;base64,iVBORw0KGgo="}}
        with pytest.raises(openai.BadRequestError, match=r"does not read image.*name a model") as caught:
            await client.chat.completions.create(model="blind", messages=[{"role": "user", "content": [picture]}])
        assert caught.value.code == "not_supported_by_model"
