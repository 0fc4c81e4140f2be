"""kill -9 of the worker at every event of a run with an agent, in a document or in Python, or with a plan.

Each of its effects happens once, and nothing that a model has said is asked again. The model speaks OpenAI's wire
format and is asked over HTTP; the sink that its tool pays into does not deduplicate.
"""

from __future__ import annotations

import asyncio
import json
import threading
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any, Self
from uuid import UUID

import pytest
from support.databases import Databases
from support.engine import ACTOR
from support.killed import Sink, worker_process

from signoff.catalog.flow import require_flow
from signoff.catalog.model import Project
from signoff.catalog.projects import load_project_files
from signoff.catalog.releases import point_environment, register
from signoff.core.clock import SystemClock
from signoff.foundation.database import Database
from signoff.foundation.settings import DatabaseSettings
from signoff.runtime import StartRequest, client, start_run
from signoff.runtime.client import JournalEvent

TURNS = 3
MIDDLE = 20
"""An event of the plan's run between its two payments."""
WORKFLOW = """workflow: chaos/agent
version: 1.0.0
about: A model pays twice and then says so.
owner: team/test
risk: low
input: {type: object, properties: {n: {type: string}}, required: [n], additionalProperties: false}
steps:
  settle:
    agent: settle@^1
    with: {text: "${input.n}"}
    tools: [{tool: pay, retry: {times: 5}}]
    retry: {times: 5}
outcome: {paid: settle.done}
"""
PLAN = WORKFLOW.replace("agent: settle@^1", "plan: settle@^1").replace("chaos/agent", "chaos/plan")
CODE = """from signoff.workflows.python import Context, workflow


@workflow("chaos/code", version="1.0.0", outcomes=["paid"], input={
    "type": "object", "properties": {"n": {"type": "string"}}, "required": ["n"], "additionalProperties": False,
})
async def code(ctx: Context, input):
    tools = [{"tool": "pay", "retry": {"times": 5}}]
    await ctx.agent("settle@^1", {"text": input["n"]}, tools=tools, retry={"times": 5}, name="settle")
    return ctx.outcome("paid")
"""
PROMPT = """---
name: settle
version: 1.0.0
purpose: Pays.
task: generate
input: {type: object, properties: {text: {type: string}}, required: [text]}
output: {type: object, properties: {said: {type: string}}, required: [said]}
---
# user
{{ text }}
"""


@dataclass(frozen=True)
class Case:
    """A workflow that pays twice.

    Attributes:
        workflow: its name.
        asked: the steps that ask the model, in their order.
    """

    workflow: str
    asked: tuple[str, ...]


TURNS_ASKED = tuple(f"settle[{turn}]/turn" for turn in range(TURNS))
CASES = [
    Case("chaos/agent", TURNS_ASKED),
    Case("chaos/code", TURNS_ASKED),
    Case("chaos/plan", ("settle[0]/write",)),
]


class PayingModel:
    """Answers in OpenAI's wire format: as an agent it pays in each turn but the last, else it plans to pay twice.

    It remembers nothing.

    Attributes:
        asked: how often each turn of each run was asked, by the run's text and the turn.
        bodies: the requests.
    """

    def __init__(self) -> None:
        self.asked: Counter[tuple[str, int]] = Counter()
        self.bodies: list[dict[str, Any]] = []
        model = self

        class Handler(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def do_POST(self) -> None:
                body = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
                content = json.dumps(model.reply(body)).encode()
                self.send_response(200)
                self.send_header("Content-Type", "application/json")
                self.send_header("Content-Length", str(len(content)))
                self.end_headers()
                self.wfile.write(content)

            def log_message(self, format: str, *args: Any) -> None:  # noqa: A002  (the base class names it)
                """Tests read what was asked, not a log."""

        self._server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self._server.daemon_threads = True
        self.url = f"http://127.0.0.1:{self._server.server_address[1]}/v1"
        self._thread = threading.Thread(target=self._server.serve_forever, daemon=True)

    def reply(self, body: dict[str, Any]) -> dict[str, Any]:
        self.bodies.append(body)
        said = [message for message in body["messages"] if message["role"] == "assistant"]
        user = next(message["content"] for message in body["messages"] if message["role"] == "user")
        self.asked[json.dumps(user), len(said)] += 1
        paying = len(said) < TURNS - 1 and "tools" in body
        message = self._paying(len(said)) if paying else self._ending(planned="tools" not in body)
        choice = {"index": 0, "message": message, "finish_reason": "tool_calls" if paying else "stop"}
        usage = {"prompt_tokens": 10, "completion_tokens": 5, "total_tokens": 15}
        head = {"id": "chatcmpl-1", "object": "chat.completion", "created": 1_700_000_000, "model": body["model"]}
        return {**head, "choices": [choice], "usage": usage}

    def _paying(self, number: int) -> dict[str, Any]:
        function = {"name": "pay", "arguments": f'{{"n": {number}}}'}
        call = {"id": f"c{number}", "type": "function", "function": function}
        return {"role": "assistant", "content": None, "tool_calls": [call]}

    def _ending(self, *, planned: bool) -> dict[str, Any]:
        steps = [{"tool": "pay", "arguments": {"n": number}} for number in range(TURNS - 1)]
        answer = {"said": "Paid twice.", **({"steps": steps} if planned else {})}
        return {"role": "assistant", "content": json.dumps(answer)}

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._server.shutdown()
        self._server.server_close()


def project(sink: str, model: str) -> Project:
    contract = (
        "about: Pays.\ntimeout: 1500ms\noutput: {type: object, properties: {id: {type: string}}, required: [id]}\n"
    )
    files = {
        "signoff.yaml": f'project: chaos\nsettings: {{sink: "{sink}"}}\nroles: {{lead: Leads.}}\n',
        "policies/all.cedar": '@id("all")\npermit (principal, action, resource);\n',
        "models.yaml": f"""models:
  clever: {{provider: openai_compatible, base_url: "{model}", model: m, capabilities: [tools]}}
routes:
  - {{task: generate, use: [clever]}}
""",
        "prompts/settle.md": PROMPT,
        "tools/pay.yaml": f"""tool: pay
effect: write
trigger: any
http: {{method: POST, url: "${{settings.sink}}/pay"}}
input:
  type: object
  properties: {{n: {{type: integer, x-signoff: {{sink: any}}}}}}
  required: [n]
  additionalProperties: false
idempotency: {{header: Idempotency-Key, recovery: lookup, lookup: {{tool: find, argument: key}}}}
{contract}""",
        "tools/find.yaml": f"""tool: find
effect: none
http: {{method: GET, url: "${{settings.sink}}/find"}}
input: {{type: object, properties: {{key: {{type: string}}}}, required: [key], additionalProperties: false}}
errors: {{404: {{kind: not_found}}}}
{contract}""",
        "workflows/agent.yaml": WORKFLOW,
        "workflows/plan.yaml": PLAN,
        "workflows/code.py": CODE,
    }
    made = load_project_files({path: text.encode() for path, text in files.items()})
    require_flow(made)
    return made


async def started(database: Database, made: Project, case: Case, name: str) -> UUID:
    async with database.transaction(ACTOR.org_id) as connection:
        digest = await register(connection, ACTOR.org_id, made, ACTOR)
        await point_environment(connection, ACTOR.org_id, made.name, "dev", digest, actor=ACTOR)
        request = StartRequest(made.workflows[case.workflow], digest, {"n": name}, ACTOR)
        return (await start_run(connection, request, now=SystemClock().now())).run_id


async def ended(database: Database, run_id: UUID) -> str | None:
    """How the run ended; none where it has not."""
    async with database.transaction(ACTOR.org_id) as connection:
        found = await client.read_run(connection, ACTOR.org_id, run_id)
    return (found.outcome or str(found.error)) if found.ended_at else None


async def journal(database: Database, run_id: UUID) -> list[JournalEvent]:
    async with database.transaction(ACTOR.org_id) as connection:
        return list(await client.read_journal(connection, ACTOR.org_id, run_id))


@pytest.fixture
def sink() -> Iterator[Sink]:
    with Sink() as opened:
        yield opened


@pytest.fixture
def model() -> Iterator[PayingModel]:
    with PayingModel() as opened:
        yield opened


@pytest.mark.slow
@pytest.mark.timeout(600)
@pytest.mark.parametrize("case", CASES, ids=[case.workflow for case in CASES])
async def test_one_killed_at_every_event(lane_urls: list[str], sink: Sink, model: PayingModel, case: Case) -> None:
    lanes = [_lane(url, sink, model, case, range(1 + at, 1000, len(lane_urls))) for at, url in enumerate(lane_urls)]
    deaths = sum(await asyncio.gather(*lanes))
    assert deaths >= 20  # the run has more events than that: the loop did kill at each of its points
    assert set(sink.payments.values()) == {1}
    tools = [body["tools"] for body in model.bodies if "tools" in body]
    for [tool] in tools:
        assert (tool["function"]["name"], set(tool["function"]["parameters"]["properties"])) == ("pay", {"n"})
    assert bool(tools) == (case.workflow != "chaos/plan")


async def test_a_plan_killed_between_its_payments(databases: Databases, sink: Sink, model: PayingModel) -> None:
    with databases.fresh() as url:
        async with await Database.open(DatabaseSettings(url=url)) as database:
            assert await _survived(Stage(database, url, sink, model, CASES[-1]), MIDDLE)
    assert list(sink.payments.values()) == [1, 1]


async def _lane(url: str, sink: Sink, model: PayingModel, case: Case, kill_points: range) -> int:
    """Kill at each of these until a run ends before its worker would die; how often it died."""
    async with await Database.open(DatabaseSettings(url=url)) as database:
        for deaths, survives in enumerate(kill_points):
            if not await _survived(Stage(database, url, sink, model, case), survives):
                return deaths
    raise AssertionError("the run never ended before its worker died")


@dataclass(frozen=True)
class Stage:
    """Where a run is, and what it does."""

    database: Database
    url: str
    sink: Sink
    model: PayingModel
    case: Case


async def _survived(stage: Stage, survives: int) -> bool:
    """Kill once, before that event, and go on; whether the run had not ended before."""
    database, url, sink, model, case = stage.database, stage.url, stage.sink, stage.model, stage.case
    name = f"run-{survives}-"
    run_id = await started(database, project(sink.url, model.url), case, name)
    async with worker_process(url, survives) as doomed:
        died = await _died(doomed, database, run_id)
    if not died:
        return False
    before = [event for event in await journal(database, run_id) if event.kind == "step.ended"]
    recorded = {event.data["step"] for event in before}
    asked = dict(model.asked)
    async with worker_process(url):
        found = await _over(database, run_id)
    told = "\n".join(f"{event.seq} {event.kind} {dict(event.data)}" for event in await journal(database, run_id))
    assert found == "paid", told
    assert sum(sink.payments[key] for key in sink.payments if str(run_id) in key) == TURNS - 1, told
    for turn, path in enumerate(case.asked):
        of_turn = [key for key in model.asked if name in key[0] and key[1] == turn]
        again = sum(model.asked[key] - asked.get(key, 0) for key in of_turn)
        assert (again == 0) == (path in recorded), told
    return True


async def _died(process: Any, database: Database, run_id: UUID) -> bool:
    """Whether the process died before the run ended."""
    for _ in range(1200):
        if process.exitcode is not None:
            return True
        if await ended(database, run_id) is not None:
            return False
        await asyncio.sleep(0.05)
    raise AssertionError("it neither died nor ended the run")


async def _over(database: Database, run_id: UUID) -> str | None:
    for _ in range(1200):
        found = await ended(database, run_id)
        if found is not None:
            return found
        await asyncio.sleep(0.05)
    return None
