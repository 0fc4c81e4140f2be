"""Whatever has a name for users is documented, and nothing that has gone is: settings, events, codes, verbs, providers.

These tests are the end of the checklists in ARCHITECTURE.md: they fail until a new thing is described where it belongs.
"""

from __future__ import annotations

import ast
import dataclasses
import re
import uuid
from collections.abc import Collection, Iterator, Mapping
from functools import cache
from typing import Any, get_args

import pytest
import typer.main
from pydantic import BaseModel
from support.docs_pages import CHECKOUT, page, rows, words

from signoff.api.messages import RunStatus
from signoff.capabilities.gateway.caching import CacheSettings
from signoff.capabilities.gateway.limits import LimitSettings
from signoff.capabilities.gateway.providers import default_factories
from signoff.capabilities.gateway.records import RecordSettings
from signoff.capabilities.retrieval import IndexSettings, RetrievalLimits
from signoff.capabilities.reviews import ReviewLimits
from signoff.capabilities.tools import ToolSettings
from signoff.catalog.models import PROVIDER_TASKS
from signoff.catalog.parsing.models import KEYS
from signoff.catalog.screening import ScreeningSettings
from signoff.cli.main import app
from signoff.core.actors import Actor
from signoff.core.clock import SystemClock
from signoff.core.labels import BOTTOM
from signoff.foundation.database import DEFAULT_ORG_ID
from signoff.foundation.settings import Settings
from signoff.governance.policy import PolicyRequest, requests
from signoff.governance.policy.model import ACTIONS, ENTITY_TYPES, OBLIGATIONS
from signoff.governance.privacy.sealing import VaultSettings
from signoff.runtime import RuntimeSettings
from signoff.runtime.breakers import BreakerSettings
from signoff.runtime.events import EventKind
from signoff.runtime.handlers import RunFacts
from signoff.runtime.retention import RetentionSettings
from signoff.runtime.settings import StartLimits
from signoff.steps.rooms import RoomSettings
from signoff.workflows.model import GROUP_VERBS
from signoff.workflows.verbs import COMMON_KEYS, VERBS

SOURCE = CHECKOUT / "src" / "signoff"
NONE = "\N{EN DASH}"  # how tables say that there is none


def first_words(name: str, heading: str) -> list[str]:
    """The words in code of the first cells of the tables below a heading."""
    return [word for cells in rows(page(name).section(heading)) for word in words(cells[0])]


# --- settings ------------------------------------------------------------------------------------------------------


def defaults_of(model: type[Any]) -> dict[str, Any]:
    if issubclass(model, BaseModel):
        return {name: field.get_default() for name, field in model.model_fields.items()}
    return {field.name: field.default for field in dataclasses.fields(model)}


def documented_defaults(name: str, heading: str) -> dict[str, str]:
    """Setting and default, as the tables say them; a setting may be followed by words."""
    return {words(cells[0])[0]: cells[1] for cells in rows(page(name).section(heading)) if words(cells[0])}


def written(default: Any) -> set[str]:
    """How a default may be written."""
    if default is None:
        return {"none", NONE}
    if isinstance(default, str):
        return {default, f"`{default}`"}
    texts = {f"{default:g}" if default < 1e5 else str(int(default)), f"{int(default):,}", str(int(default))}
    for unit, size in (("MiB", 1 << 20), ("KiB", 1 << 10)):
        if default % size == 0:
            texts.add(f"{int(default) // size} {unit}")
    return texts


@pytest.mark.parametrize(
    ("model", "name", "heading"),
    [
        (RuntimeSettings, "docs/reference/engine.md", "## Limits (`RuntimeSettings`)"),
        (BreakerSettings, "docs/reference/breakers.md", "## Limits (`BreakerSettings`)"),
        (StartLimits, "docs/reference/engine.md", "## Limits of what is sent (`StartLimits`)"),
        (ToolSettings, "docs/reference/tools.md", "## Limits (`ToolSettings`)"),
        (RetrievalLimits, "docs/reference/retrieval.md", "## Limits (`RetrievalLimits`)"),
        (IndexSettings, "docs/reference/retrieval.md", "## Building"),
        (RetentionSettings, "docs/reference/storage.md", "### Limits (`RetentionSettings`)"),
        (ReviewLimits, "docs/reference/reviews.md", "## Limits (`ReviewLimits`)"),
        (LimitSettings, "docs/reference/limits.md", "## Limits (`LimitSettings`)"),
        (RecordSettings, "docs/reference/limits.md", "## Limits (`RecordSettings`)"),
        (CacheSettings, "docs/reference/limits.md", "## Limits (`CacheSettings`)"),
        (VaultSettings, "docs/reference/privacy.md", "### Keys of vaults"),
        (ScreeningSettings, "docs/reference/injection.md", "### Limits (`ScreeningSettings`)"),
    ],
)
def test_every_limit_is_listed_with_its_default(model: type[Any], name: str, heading: str) -> None:
    listed, defaults = documented_defaults(name, heading), defaults_of(model)
    assert sorted(listed) == sorted(defaults)
    wrong = {
        key: text for key, text in listed.items() if re.split(r"[ ;](?![KM])", text)[0] not in written(defaults[key])
    }
    assert wrong == {}, {key: defaults[key] for key in wrong}


def process_settings() -> Iterator[tuple[str, Any]]:
    for name, field in Settings.model_fields.items():
        if isinstance(field.annotation, type) and issubclass(field.annotation, BaseModel):
            for inner, setting in field.annotation.model_fields.items():
                yield f"SIGNOFF_{name}__{inner}".upper(), setting.get_default()
        else:
            yield f"SIGNOFF_{name}".upper(), ...


def test_every_setting_of_a_process_is_in_the_operations_guide() -> None:
    table = {
        words(cells[0])[0]: cells[1]
        for cells in rows(page("docs/guides/operations.md").section("## Settings"))
        if cells[2:]
    }
    known = dict(process_settings())
    assert sorted(table) == sorted(known)
    wrong = {
        name: table[name]
        for name, default in known.items()
        if default is not ... and table[name] not in written(default)
    }
    assert wrong == {}, {name: known[name] for name in wrong}


def test_every_room_s_limits_are_said_to_be_settable_in_the_operations_guide() -> None:
    table = first_words("docs/guides/operations.md", "## Settings")
    assert {f"SIGNOFF_{name}__…".upper() for name in RoomSettings.model_fields} <= set(table)


# --- the engine ----------------------------------------------------------------------------------------------------


def test_every_event_and_status_is_described() -> None:
    assert first_words("docs/reference/engine.md", "## Events") == list(get_args(EventKind))
    assert first_words("docs/reference/engine.md", "## Statuses of a run") == list(get_args(RunStatus))


# --- problems ------------------------------------------------------------------------------------------------------


@cache
def trees() -> tuple[ast.Module, ...]:
    """The source, parsed: faster than importing vendors' libraries."""
    return tuple(ast.parse(path.read_text("utf-8")) for path in SOURCE.rglob("*.py"))


@cache
def error_types() -> dict[str, int]:
    """Code and status of everything derived from SignoffError; a status that a class does not say is inherited."""
    classes = {node.name: node for tree in trees() for node in ast.walk(tree) if isinstance(node, ast.ClassDef)}
    found: dict[str, int] = {}
    for name in classes:
        code, status = _said(classes, name, "code"), _said(classes, name, "status")
        if code is not None and status is not None and _is_error(classes, name):
            found[code] = status
    return found


def _is_error(classes: Mapping[str, ast.ClassDef], name: str) -> bool:
    bases = [base.id for base in classes[name].bases if isinstance(base, ast.Name)] if name in classes else []
    return name == "SignoffError" or any(_is_error(classes, base) for base in bases)


def _said(classes: Mapping[str, ast.ClassDef], name: str, attribute: str) -> Any:
    """What a class, or else its first base that does, assigns to an attribute."""
    node = classes.get(name)
    if node is None:
        return None
    for line in node.body:
        target = line.targets[0] if isinstance(line, ast.Assign) else getattr(line, "target", None)
        value = getattr(line, "value", None)
        if isinstance(target, ast.Name) and target.id == attribute and isinstance(value, ast.Constant):
            return value.value
    found = (_said(classes, base.id, attribute) for base in node.bases if isinstance(base, ast.Name))
    return next((value for value in found if value is not None), None)


def keywords(name: str, *, of: Collection[str] | None = None) -> set[str]:
    """Constants given as `name=…` anywhere in the source, or only to the functions named."""
    found: set[str] = set()
    for node in (node for tree in trees() for node in ast.walk(tree)):
        if not isinstance(node, ast.Call):
            continue
        function = node.func.attr if isinstance(node.func, ast.Attribute) else getattr(node.func, "id", "")
        if of is None or function in of:
            values = [keyword.value for keyword in node.keywords if keyword.arg == name]
            found |= {
                value.value for value in values if isinstance(value, ast.Constant) and isinstance(value.value, str)
            }
    return found


def test_every_type_of_error_is_described() -> None:
    table = {
        word: cells[1]
        for cells in rows(page("docs/reference/problems.md").section("## Types"))
        for word in words(cells[0])
    }
    codes = error_types()
    assert sorted({*table} - {"method-not-allowed", "http"}) == sorted({*codes} - {"expression", "blocked"})
    wrong = {
        code: text for code, text in table.items() if code in codes and text != NONE and str(codes[code]) not in text
    }
    assert wrong == {}


def test_every_code_of_a_problem_is_described() -> None:
    listed = set(first_words("docs/reference/problems.md", "## Codes of single problems"))
    taken = set(error_types())
    used = {code for code in keywords("code") if re.fullmatch(r"[a-z]+(-[a-z]+)*", code)}
    assert sorted(used - listed - taken) == [], "describe it in docs/reference/problems.md"
    texts = {
        node.value
        for tree in trees()
        for node in ast.walk(tree)
        if isinstance(node, ast.Constant) and node.value in listed
    }
    gone = sorted(code for code in listed - taken - texts if not code.startswith("expression"))
    assert gone == []


def test_every_kind_of_failed_step_is_described() -> None:
    listed = set(first_words("docs/reference/problems.md", "## Kinds of failed steps"))
    used = keywords("kind", of=("StepError", "GatewayError"))
    assert sorted(used - listed) == []


# --- the language and what it uses ---------------------------------------------------------------------------------


def test_every_verb_is_in_the_language_with_its_keys() -> None:
    table = {words(cells[0])[0]: cells for cells in rows(page("docs/reference/language.md").section("## Steps"))}
    assert list(table) == list(VERBS)
    common = page("docs/reference/language.md").section("## Steps")
    for verb, keys in VERBS.items():
        own = {key for key in keys.keys if key not in COMMON_KEYS and key not in ("retry", "timeout")}
        missing = {key for key in own if f"`{key}" not in table[verb][2]}
        assert missing == set(), f"{verb}: {missing}"
    assert all(f"`{key}`" in common for key in COMMON_KEYS)


def test_every_verb_has_a_handler_that_a_worker_gets() -> None:
    assembly = (SOURCE / "steps" / "assembly.py").read_text("utf-8")
    handlers: dict[str, str] = {}
    for path in (SOURCE / "steps").glob("*.py"):
        for node in ast.parse(path.read_text("utf-8")).body:
            if isinstance(node, ast.ClassDef):
                for line in node.body:
                    if isinstance(line, ast.Assign) and ast.unparse(line.targets[0]) == "verb":
                        handlers[ast.literal_eval(line.value)] = node.name
    assert sorted(handlers) == sorted(VERBS.keys() - GROUP_VERBS)  # groups are the engine's own
    assert [name for name in handlers.values() if f"{name}(" not in assembly] == []


def test_every_provider_is_in_the_reference_and_can_be_made() -> None:
    table: dict[str, str] = {}
    for cells in rows(page("docs/reference/project.md").section("## models.yaml")):
        table[words(cells[0])[0]] = cells[1]
    assert sorted(table) == sorted(PROVIDER_TASKS) == sorted(KEYS)
    assert sorted(default_factories()) == sorted(PROVIDER_TASKS.keys() - {"scripted"})
    for provider, tasks in PROVIDER_TASKS.items():
        if provider != "scripted":
            assert table[provider] == ", ".join(tasks), provider


# --- policy --------------------------------------------------------------------------------------------------------

ACTOR = Actor(DEFAULT_ORG_ID, "user", "ana", frozenset({"lead"}))
RUN = RunFacts(
    run_id=uuid.UUID(int=1),
    org_id=DEFAULT_ORG_ID,
    workflow="w",
    version="1.0.0",
    release="r",
    risk="low",
    started_by=ACTOR,
    started_at=SystemClock().now(),
)
OF_WORKFLOW: Mapping[str, Any] = {"workflow": "w", "version": "1.0.0", "risk": "low"}
OF_REVIEW: Mapping[str, Any] = {**OF_WORKFLOW, "step": "s", "assigned_roles": ["lead"], "started_by": "user/ana"}
ADDED_TO_REVIEWS = {"own_run", "escalated", "values"}  # by capabilities/reviews/permission.py, which knows the review


def all_requests() -> Iterator[PolicyRequest]:
    yield requests.tool_request(RUN, tool="t", effect="none", arguments={}, labels=BOTTOM)
    yield requests.model_request(
        RUN, model="m", provider="p", task="t", prompt="", prompt_version="", labels=BOTTOM, local=True
    )
    yield requests.retrieve_request(RUN, index="i", labels=BOTTOM)
    yield requests.emit_request(RUN, event_type="e", labels=BOTTOM)
    yield requests.start_request(ACTOR, **OF_WORKFLOW)
    yield requests.review_request(ACTOR, result="approved", **OF_REVIEW)
    yield requests.review_read_request(ACTOR, **OF_REVIEW)
    of_run = {"run_id": "1", "started_by": "user/ana", **OF_WORKFLOW}
    for action in sorted(action for action in ACTIONS if action.startswith("run.") and action != "run.start"):
        signal = ("s", "k") if action == "run.signal" else None
        step = "s" if action == "run.skip" else None
        yield requests.run_request(ACTOR, action, signal=signal, step=step, **of_run)


def test_the_context_of_every_action_is_as_the_table_says() -> None:
    context = page("docs/reference/policy.md").section("## Context")
    asked = {request.action: set(request.context) | {"skipped"} for request in all_requests()}
    asked["review.decide"] |= ADDED_TO_REVIEWS
    table: dict[str, set[str]] = {action: set() for action in asked}
    for cells in rows(context):
        named = set(words(cells[2]))
        actions = set(asked) - named if cells[2].startswith("all") else named
        assert named <= set(asked), cells
        for action in actions:
            table[action] |= set(words(cells[0]))
    assert {action: sorted(keys) for action, keys in table.items()} == {
        action: sorted(keys) for action, keys in asked.items()
    }


def test_every_action_entity_and_obligation_is_described() -> None:
    text = page("docs/reference/policy.md")
    entities = text.section("## Entities")
    listed = set(words(entities[entities.index("Actions:") :]))
    assert listed == ACTIONS
    assert set(first_words("docs/reference/policy.md", "## Entities")) == ENTITY_TYPES - {"Role", "Action"}
    obligations = {word.split("(")[0].lstrip("@") for word in first_words("docs/reference/policy.md", "## Obligations")}
    assert obligations == OBLIGATIONS


# --- commands and the API ------------------------------------------------------------------------------------------


def test_every_command_is_described() -> None:
    table = " ".join(cells[0] for cells in rows(page("docs/reference/cli.md").text))
    root: Any = typer.main.get_command(app)
    for name, command in root.commands.items():
        assert re.search(rf"`{name}\b", table), name
        for inner in getattr(command, "commands", {}):
            assert inner in table, f"{name} {inner}"


def test_every_operation_of_the_api_is_described() -> None:
    """By method and path; names of path parameters are for the OpenAPI document."""
    text = page("docs/reference/api.md").text
    described = {re.sub(r"\{\w+\}", "{}", path) for path in re.findall(r"(/(?:v1|health|metrics)[\w/{}-]*)", text)}
    routes: set[str] = set()
    for path in (SOURCE / "api").glob("*.py"):
        prefix, tree = "", ast.parse(path.read_text("utf-8"))
        for node in ast.walk(tree):
            if not isinstance(node, ast.Call):
                continue
            called = ast.unparse(node.func)
            if called == "APIRouter":
                prefix = next((ast.literal_eval(k.value) for k in node.keywords if k.arg == "prefix"), "")
        for node in ast.walk(tree):
            if isinstance(node, ast.Call) and re.fullmatch(
                r"router\.(get|post|put|patch|delete)", ast.unparse(node.func)
            ):
                routes.add(prefix + ast.literal_eval(node.args[0]))
    assert routes
    assert sorted({re.sub(r"\{\w+(:path)?\}", "{}", route) for route in routes} - described) == []


def test_every_room_is_in_the_architecture() -> None:
    rooms = set(first_words("ARCHITECTURE.md", "## The house"))
    there = {
        f"{path.relative_to(SOURCE).as_posix()}/"
        for top in SOURCE.iterdir()
        if top.is_dir() and top.name != "__pycache__"
        for path in (top.iterdir() if top.name in ("capabilities", "governance") else (top,))
        if path.is_dir() and path.name != "__pycache__"
    }
    assert there <= rooms | {"providers/"}, there - rooms
