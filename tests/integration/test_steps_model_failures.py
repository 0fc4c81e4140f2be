"""What a workflow learns of a model that declined, was filtered, was cut off or could not read it all: `error.kind`."""

from __future__ import annotations

from support.answer_runs import project, staged

from signoff.capabilities.gateway import ProviderError, ProviderReply
from signoff.foundation.database import Database
from signoff.testing import ScriptedProvider

PROMPT = """---
name: answer
version: 1.0.0
purpose: Answers a message.
task: generate
input: {type: object, properties: {text: {type: string}}, required: [text]}
output: {type: object, properties: {text: {type: string}}, required: [text], additionalProperties: false}
---
# user
{{ text }}
"""
STEPS = """steps:
  reply:
    ai: answer@^1
    with: {text: "${input.text}"}
    on_error:
      steps: {why: {set: {kind: "${error.kind}"}}}
      give: {text: "${why.kind}"}
outcome:
  refused: reply.text == 'model_refused'
  filtered: reply.text == 'model_filtered'
  cut: reply.text == 'model_truncated'
  too_long: reply.text == 'context_overflow'
  answered: reply.done
"""
SAID = {
    "refused": ProviderReply("", finish_reason="refusal"),
    "filtered": ProviderReply("", finish_reason="content_filter"),
    "cut": ProviderReply('{"text": "Dear', 5, 50, "length"),
    "too_long": ProviderError("context_overflow", "Too long."),
    "answered": ProviderReply('{"text": "Dear Ana."}'),
}


async def test_a_workflow_branches_on_how_a_model_failed(database: Database) -> None:
    files = {
        **project(STEPS, prompts__answer_md=PROMPT),
        "models.yaml": "models: {a: {provider: scripted}}\nroutes: [{task: generate, use: [a]}]\n",
    }
    model = ScriptedProvider([lambda request: SAID[str(request.variables["text"])]], repeat=True)
    async with staged(database, files, {"a": model}) as stage:
        runs = {outcome: await stage.start({"text": outcome}) for outcome in SAID}
        assert {outcome: await stage.ended(run) for outcome, run in runs.items()} == {
            outcome: ("done", outcome) for outcome in SAID
        }
