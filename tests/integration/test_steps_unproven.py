"""Workflows in Python, of which nothing is proven: their effects are held to sinks as they are called, and refused."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from support.answer_runs import POLICY, staged

from signoff.foundation.database import Database
from signoff.testing import ScriptedProvider

INPUT = """{
  "type": "object",
  "properties": {
    "text": {"type": "string"},
    "order": {"type": "string"},
    "cents": {"type": "integer"},
    "customer": {"type": "string", "x-signoff": {"trust": "trusted"}}
  },
  "required": ["text", "customer"]
}"""
TRUSTED = INPUT.replace('"type": "object"', '"type": "object", "x-signoff": {"trust": "trusted"}', 1)
SECRET = INPUT.replace(
    '"text":', '"file": {"type": "string", "x-signoff": {"trust": "trusted", "class": "regulated"}}, "text":'
)
PAY = """tool: NAME
about: Pays.
effect: write
TRIGGER
python: "tools/all.py:pay"
input:
  type: object
  properties:
    payee: {type: string, x-signoff: {sink: trusted}}
    cents: {type: integer, minimum: 1, x-signoff: {sink: confined}}
    why: {enum: [late, broken], x-signoff: {sink: confined}}
    memo: {type: string, x-signoff: {sink: any}}
  required: [payee, cents]
output: {type: object, properties: {id: {type: string, x-signoff: {trust: trusted}}}, required: [id]}
idempotency: {recovery: ask}
"""
QUOTA = "quota: {per: payee, spend: cents, most: 5000, window: 1d}"
FIND = """tool: orders.NAME
about: Finds an order.
effect: none
OWNER
python: "tools/all.py:find"
input:
  type: object
  properties:
    id: {type: string, x-signoff: {sink: any}}
    customer: {type: string, x-signoff: {sink: trusted}}
  required: [id]
output:
  type: object
  properties:
    payee: {type: string, x-signoff: {trust: trusted}}
    cents: {type: integer, x-signoff: {trust: trusted}}
    note: {type: string}
  required: [payee, cents, note]
"""
TOOLS = """def pay(arguments):
    return {"id": "p-" + arguments["payee"]}


def find(arguments):
    return {"payee": "house-of-" + arguments["id"], "cents": 700, "note": "eve"}
"""
PROMPT = """---
name: sort
version: 1.0.0
purpose: Sorts a text.
task: classify
input: {type: object, properties: {text: {type: string}}, required: [text]}
labels: {good: Praise., bad: A complaint.}
data_class: internal
---
# user
{{ text }}
"""
HEAD = """from signoff.workflows.python import workflow


@workflow("desk/NAME", version="1.0.0", about="Pays.", owner="team/desk", risk="low", input="schemas/SCHEMA.json",
          outcomes=["paid"])
async def run(ctx, input):
BODY    return ctx.outcome("paid")
"""
PAID: Mapping[str, str] = {
    "known": 'await ctx.tool("pay.free", {"payee": input["customer"], "cents": 100, "why": "late"})',
    "constant": 'await ctx.tool("pay.free", {"payee": "the house", "cents": 100})',
    "owned": 'o = await ctx.tool("orders.owned", {"id": input["order"], "customer": input["customer"]})\n'
    '    await ctx.tool("pay.free", {"payee": o["payee"], "cents": o["cents"]})',
    "free": 'await ctx.tool("pay.free", {"payee": input["customer"], "cents": 100, "memo": input["text"]})',
    "fix": 'await ctx.tool("pay.careful", {"payee": input["text"], "cents": len(input["text"])})',
}
"""Bodies whose payment goes out; the last one has an input that is trusted as a whole."""
REFUSED: Mapping[str, tuple[str, str]] = {
    "payee": ('await ctx.tool("pay.free", {"payee": input["text"], "cents": 100})', "'payee' of 'pay.free'"),
    "made": ('await ctx.tool("pay.free", {"payee": input["customer"] + "!", "cents": 100})', "'payee' of 'pay.free'"),
    "amount": ('await ctx.tool("pay.free", {"payee": input["customer"], "cents": input["cents"]})', "'cents' of"),
    "record": (
        (
            'o = await ctx.tool("orders.any", {"id": input["order"]})\n'
            '    await ctx.tool("pay.free", {"payee": o["payee"], "cents": 100})'
        ),
        "'payee' of 'pay.free'",
    ),
    "note": (
        (
            'o = await ctx.tool("orders.owned", {"id": input["order"], "customer": input["customer"]})\n'
            '    await ctx.tool("pay.free", {"payee": o["note"], "cents": 100})'
        ),
        "'payee' of 'pay.free'",
    ),
    "cause": ('await ctx.tool("pay.careful", {"payee": input["customer"], "cents": 100})', "may not cause"),
    "again": ('await ctx.tool("pay.endless", {"payee": input["customer"], "cents": 100})', "no quota"),
    "unseen": (
        (
            'd = await ctx.review("Pay?", by="role/lead", propose={"cents": 100}, needed=False)\n'
            '    await ctx.tool("pay.free", {"payee": input["text"], "cents": 100}, requires=[d])'
        ),
        "'payee' of 'pay.free'",
    ),
}
GIVEN: Mapping[str, Any] = {"text": "eve", "order": "o-1", "cents": 99_999, "customer": "ana"}


def project(bodies: Mapping[str, str], schema: str = "mail") -> dict[str, str]:
    def head(name: str, body: str) -> str:
        kind = "trusted" if name == "fix" else schema
        return HEAD.replace("NAME", name).replace("SCHEMA", kind).replace("BODY", f"    {body}\n")

    tools = {
        "pay.free": PAY.replace("TRIGGER", f"trigger: any\n{QUOTA}"),
        "pay.careful": PAY.replace("TRIGGER", QUOTA),
        "pay.endless": PAY.replace("TRIGGER", "trigger: any"),
        "orders.owned": FIND.replace("OWNER", "owner: customer"),
        "orders.any": FIND.replace("OWNER\n", ""),
    }
    return {
        "signoff.yaml": "project: desk\nroles: {lead: Decides.}\n",
        "policies/all.cedar": POLICY,
        "models.yaml": "models: {a: {provider: scripted}}\nroutes: [{task: classify, use: [a]}]\n",
        "prompts/sort.md": PROMPT,
        "schemas/mail.json": INPUT,
        "schemas/trusted.json": TRUSTED,
        "schemas/secret.json": SECRET,
        "tools/all.py": TOOLS,
        **{
            f"tools/{name}.yaml": text.replace("NAME", name.rpartition(".")[2], 1).replace(
                f"tool: {name.rpartition('.')[2]}", f"tool: {name}"
            )
            for name, text in tools.items()
        },
        **{f"workflows/{name}.py": head(name, body) for name, body in bodies.items()},
    }


async def test_values_of_trusted_sources_are_paid_and_nothing_else(database: Database) -> None:
    bodies = {**PAID, **{name: body for name, (body, _) in REFUSED.items()}}
    async with staged(database, project(bodies)) as stage:
        runs = {name: await stage.start(GIVEN, f"desk/{name}") for name in bodies}
        for name, run_id in runs.items():
            status, _ = await stage.ended(run_id)
            failed = [event.data for event in await stage.events(run_id) if event.kind == "step.ended"][-1]
            if name in PAID:
                assert status == "done", (name, failed)
            else:
                assert status == "failed", name
                assert failed["error"]["kind"] == "flow", (name, failed)
                assert REFUSED[name][1] in failed["error"]["detail"], (name, failed)
                intents = [
                    event.data["step"] for event in await stage.events(run_id) if event.kind == "effect.intended"
                ]
                assert intents == [], name


async def test_what_a_person_saw_and_approved_goes_out_once(database: Database) -> None:
    body = (
        'd = await ctx.review("Pay?", by="role/lead", propose={"payee": input["text"], "cents": input["cents"]})\n'
        '    await ctx.tool("pay.careful", {"payee": d["payee"], "cents": d["cents"]}, requires=[d])\n'
    )
    unseen = body.replace('d["payee"], "cents"', 'input["order"], "cents"')
    async with staged(database, project({"seen": body, "other": unseen})) as stage:
        for name, expected in (("seen", "done"), ("other", "failed")):
            run_id = await stage.start(GIVEN, f"desk/{name}")
            await stage.decided(run_id)
            assert (await stage.ended(run_id))[0] == expected, name


async def test_regulated_data_reaches_no_model_and_no_argument_that_may_not_have_it(database: Database) -> None:
    bodies = {
        "model": 'await ctx.ai("sort@^1", {"text": input["file"]})',
        "tool": 'await ctx.tool("orders.any", {"id": input["file"]})',
        "hidden": 'await ctx.tool("orders.any", {"id": "".join(reversed(input["file"]))})',
    }
    async with staged(database, project(bodies, "secret"), models={"a": ScriptedProvider()}) as stage:
        for name in bodies:
            run_id = await stage.start({**GIVEN, "file": "x"}, f"desk/{name}")
            assert (await stage.ended(run_id))[0] == "failed", name
            ended = [event.data for event in await stage.events(run_id) if event.kind == "step.ended"][-1]
            assert ended["error"]["kind"] == "forbidden", (name, ended)
            assert "regulated" in ended["error"]["detail"]
