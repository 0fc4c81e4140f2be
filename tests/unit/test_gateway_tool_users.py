"""An agent whose models cannot use tools is found before anything runs."""

from __future__ import annotations

from pathlib import Path

import pytest
from support.agent_cases import files

from signoff.capabilities.gateway.tool_users import unable_problems
from signoff.catalog import Project, load_project_files
from signoff.core.errors import Problem

CODE = """from signoff.workflows.python import Context, workflow

@workflow("desk/code", version="1.0.0", input={"type": "object"}, outcomes=["ok"])
async def code(ctx: Context, input):
    await ctx.agent("settle@^1", tools=["shop.get_order"])
    return ctx.outcome("ok")
"""
PLAN = """steps:
  settle: {plan: settle@^1, with: {text: "${input.text}"}, tools: [shop.get_order]}
outcome: {settled: settle.done}
"""
LOCAL = "local: {provider: qwen}"
VENDOR = 'vendor: {provider: openai, model: gpt-5, api_key: "${env.KEY}"}'
UNKNOWN = 'unknown: {provider: openai_compatible, base_url: "https://a.b", model: m}'


def project(models: str, routes: str, **more: str) -> Project:
    named = {
        name.replace("__", "/").replace("_yaml", ".yaml").replace("_py", ".py"): text for name, text in more.items()
    }
    text = f"models:\n  {models}\nroutes: {routes}\n"
    made = files(Path("log"), **{"models.yaml": text, **named})
    return load_project_files({name: text.encode() for name, text in made.items()})


def problems(models: str, routes: str, **more: str) -> list[Problem]:
    return list(unable_problems(project(models, routes, **more)))


def test_an_agent_whose_models_cannot_use_tools_is_told_at_its_step() -> None:
    (problem,) = problems(LOCAL, "[{task: generate, use: [local]}]")
    assert (problem.code, problem.file) == ("unable-model", "workflows/reply.yaml")
    assert problem.line == 15
    assert problem.detail == (
        "The agent 'settle' needs a model that uses tools, and its prompt is routed to 'local', which cannot."
    )


@pytest.mark.parametrize(
    ("models", "routes"),
    [
        (f"{LOCAL}\n  {VENDOR}", "[{task: generate, use: [local, vendor]}]"),
        (f"{LOCAL}\n  {VENDOR}", "[{prompt: settle, use: [vendor]}, {task: generate, use: [local]}]"),
        (UNKNOWN, "[{task: generate, use: [unknown]}]"),
        ("clever: {provider: scripted, capabilities: [tools]}", "[{task: generate, use: [clever]}]"),
    ],
)
def test_one_that_can_or_of_which_nobody_knows_is_enough(models: str, routes: str) -> None:
    assert problems(models, routes) == []


def test_a_plan_is_written_by_any_model() -> None:
    made = files(Path("log"), agent=PLAN)["workflows/reply.yaml"]
    assert problems(LOCAL, "[{task: generate, use: [local]}]", workflows__reply_yaml=made) == []


def test_profiles_are_looked_at_too() -> None:
    routes = "[{task: generate, use: [vendor]}]\nprofiles: {small: {routes: [{task: generate, use: [local]}]}}"
    (problem,) = problems(f"{LOCAL}\n  {VENDOR}", routes)
    assert problem.detail.endswith("is routed to 'local', which cannot, in the profile 'small'.")


def test_so_is_an_agent_of_the_code() -> None:
    found = problems(LOCAL, "[{task: generate, use: [local]}]", workflows__code_py=CODE)
    assert [(one.file, one.line) for one in found] == [("workflows/reply.yaml", 15), ("workflows/code.py", 5)]
