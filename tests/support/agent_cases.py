"""A project with an agent whose model is scripted: what it says turn by turn, and tools that remember each call."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from support.answer_runs import HEAD, POLICY
from support.chat_cases import USAGE, ScriptedChat

from signoff.capabilities.gateway.chat import ChatReply, ChatRequest, Part, TextPart, ToolCallPart

PROMPT = """---
name: settle
version: 1.0.0
purpose: Settles a complaint.
task: generate
input: {type: object, properties: {text: {type: string}}, required: [text]}
output:
  type: object
  properties: {summary: {type: string}, refunded: {type: integer}}
  required: [summary]
  additionalProperties: false
repair: {attempts: 1}
---
# user
{{ text }}
"""
TOOLS_PY = """import json


def _note(name, arguments):
    with open(arguments.get('log') or 'LOG', 'a', encoding='utf-8') as file:
        file.write(json.dumps([name, arguments]) + chr(10))


def get_order(arguments):
    _note('get_order', arguments)
    if arguments['id'] == 'none':
        raise LookupError('no such order')
    return {'id': arguments['id'], 'cents': 500}


def refund(arguments):
    _note('refund', arguments)
    return {'id': 'r-' + arguments['idempotency_key'][-6:]}
"""
GET_ORDER = """tool: shop.get_order
about: Finds an order.
effect: none
python: "tools/shop.py:get_order"
input:
  type: object
  properties:
    id: {type: string, x-signoff: {sink: any}}
    note: {type: string, x-signoff: {sink: any}}
  required: [id]
output:
  type: object
  properties: {id: {type: string}, cents: {type: integer}}
  required: [id, cents]
errors: {LookupError: {kind: not_found}}
"""
REFUND = """tool: pay.refund
about: Pays some of an order back.
effect: write
trigger: any
python: "tools/shop.py:refund"
input:
  type: object
  properties:
    order: {type: string, x-signoff: {sink: trusted}}
    cents: {type: integer, minimum: 1, maximum: 900, x-signoff: {sink: confined}}
    idempotency_key: {type: string}
  required: [order, cents]
output: {type: object, properties: {id: {type: string}}, required: [id]}
idempotency: {recovery: resend, argument: idempotency_key}
quota: {per: order, spend: cents, most: 1000, window: 1d}
"""
MODELS = (
    "models:\n  clever: {provider: scripted, capabilities: [tools]}\nroutes:\n  - {task: generate, use: [clever]}\n"
)
INPUT = """input:
  type: object
  properties:
    text: {type: string}
    order: {type: string, x-signoff: {trust: trusted}}
  required: [text, order]
limits: {cost: 1 USD}
"""
AGENT = """steps:
  settle:
    agent: settle@^1
    with: {text: "${input.text}"}
    tools:
      - shop.get_order
      - tool: pay.refund
        with: {order: "${input.order}"}
BOUNDS
  after: {set: {said: "${settle.summary}"}}
outcome: {settled: after.done}
"""
VALUE = {"text": "It is broken.", "order": "o-7"}


def files(log: Path, bounds: str = "", *, agent: str = AGENT, policy: str = POLICY, **more: str) -> dict[str, str]:
    """The project; its tools note each call in the file `log`."""
    return {
        "signoff.yaml": "project: desk\nroles: {lead: Decides.}\n",
        "policies/all.cedar": policy,
        "models.yaml": MODELS,
        "prompts/settle.md": PROMPT,
        "tools/shop.py": TOOLS_PY.replace("'LOG'", repr(str(log))),
        "tools/get_order.yaml": GET_ORDER,
        "tools/refund.yaml": REFUND,
        "workflows/reply.yaml": HEAD + INPUT + agent.replace("BOUNDS\n", bounds),
        **more,
    }


def noted(log: Path) -> list[tuple[str, Mapping[str, Any]]]:
    """Each call of a tool, in order, with its arguments."""
    if not log.exists():
        return []
    return [(name, arguments) for name, arguments in map(json.loads, log.read_text("utf-8").splitlines())]


def calls(*made: tuple[str, Mapping[str, Any] | str], text: str = "") -> ChatReply:
    """The model asks for tools; arguments may be a text that is no JSON."""
    parts: list[Part] = [TextPart(text)] if text else []
    for place, (name, given) in enumerate(made):
        arguments = given if isinstance(given, str) else json.dumps(given)
        parts.append(ToolCallPart(f"c{place}", name, arguments))
    return ChatReply(tuple(parts), "tool_calls", usage=USAGE)


def answers(**output: Any) -> str:
    """The model answers."""
    return json.dumps(output)


class Talking(ScriptedChat):
    """Says by scripts, each found by a text of the request; what was said before tells where in it the model is.

    Nothing is counted: a model that is asked the same again says the same again.
    """

    def __init__(self, scripts: Mapping[str, Sequence[ChatReply | str]]) -> None:
        super().__init__(local=True)
        self._scripts = scripts

    def factory(self, spec: Any) -> Talking:
        """Itself."""
        return self

    async def chat(self, request: ChatRequest) -> ChatReply:
        """The next of the script."""
        self.chats.append(request)
        words = " ".join(
            part.text for message in request.messages for part in message.parts if isinstance(part, TextPart)
        )
        script = next(said for text, said in self._scripts.items() if text in words)
        said = script[sum(message.role == "assistant" for message in request.messages)]
        return ChatReply((TextPart(said),), "stop", usage=USAGE) if isinstance(said, str) else said

    def of(self, text: str) -> list[ChatRequest]:
        """The requests with a text."""
        return [
            chat
            for chat in self.chats
            if any(isinstance(part, TextPart) and text in part.text for one in chat.messages for part in one.parts)
        ]
