"""What a chat makes is freed when it ends: cycles would keep requests in memory until the collector comes."""

from __future__ import annotations

import gc
import weakref
from collections.abc import Mapping

from support.chat_cases import ASKED, HELLO, ScriptedChat, models
from support.gateway_cases import permit_all

from signoff.capabilities.gateway.chats.call import ChatCall
from signoff.capabilities.gateway.configuration import resolve
from signoff.catalog.models import ModelSpec


def test_a_models_settings_are_filled_in_without_a_cycle() -> None:
    class Environment(dict[str, str]):
        """That can be watched."""

    environment: Mapping[str, str] = Environment(KEY="k")
    gone = weakref.ref(environment)
    gc.disable()
    try:
        spec = ModelSpec("a", "openai", {"api_key": "${env.KEY}", "more": {"header": "x ${env.KEY}", "n": 1}})
        assert resolve(spec, environment).settings == {"api_key": "k", "more": {"header": "x k", "n": 1}}
        del environment
        assert gone() is None
    finally:
        gc.enable()


async def test_a_chat_is_freed_with_its_request_once_it_is_answered():
    gateway, config = models(one=ScriptedChat(["Hello there."]))
    gc.collect()
    gc.disable()
    before = {id(one) for one in gc.get_objects() if type(one) is ChatCall}  # what tests before this one hold on to
    try:
        await gateway.chat(HELLO, ASKED, config, decide=permit_all)
        assert not [one for one in gc.get_objects() if type(one) is ChatCall and id(one) not in before]
    finally:
        gc.enable()
