"""`once` is the key of an effect: where there is none, it is refused instead of doing nothing."""

from __future__ import annotations

import pytest
from support.engine import compiled

from signoff.core.errors import DefinitionError

BODY = 'steps:\n  get: {tool: get, with: {}, once: "get/${input.n}"}\noutcome: {ok: get.done}\n'


def test_once_on_a_tool_that_only_reads_is_a_mistake():
    with pytest.raises(DefinitionError) as raised:
        compiled("reads", BODY, get=False)
    assert "'once' does nothing here: the tool only reads." in str(raised.value)


def test_once_on_a_tool_that_writes_is_its_key():
    assert compiled("writes", BODY, get=True).step("get").once is not None
