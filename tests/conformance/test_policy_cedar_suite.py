"""Cedar's own integration tests: splitting, renaming and preparing policies as we do changes no decision."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import cedarpy
import pytest
from support.data import shared_data

from signoff.governance.policy.engine import Engine
from signoff.governance.policy.source import split


def cases(root: Path) -> Iterator[tuple[Path, dict[str, Any]]]:
    for file in sorted(root.glob("corpus/*.json")) + sorted(root.glob("tests/*/*.json")):
        if not file.name.endswith(".entities.json"):
            yield file, json.loads(file.read_text())


def located(root: Path, name: str) -> Path:
    return root / name.replace("corpus-tests/", "corpus/")


def prepared(text: str) -> Engine | None:
    """Our way: each policy parsed alone, under an id of our own. None where there are templates, which we refuse."""
    bodies: dict[str, Any] = {}
    for number, policy in enumerate(split("suite.cedar", text)):
        document = json.loads(cedarpy.policies_to_json_str(policy.text))
        if document["templates"]:
            return None
        bodies[f"policy{number}"] = document["staticPolicies"]["policy0"]
    return Engine(bodies)


def spelt_out(entities: str, schema: str) -> str:
    """Entities as they are without a schema: some of the suite's leave to it what is a reference."""
    try:
        return str(cedarpy.Entities.from_json_str(entities, schema))  # pyright: ignore[reportUnknownMemberType]  (bare dict in its signature)
    except ValueError:  # generated schemas that do not fit their entities; those spell references out anyway
        return entities


@pytest.mark.parametrize("folder", ["corpus", "tests"])
def test_decisions_reasons_and_errors_agree(folder: str) -> None:
    root = shared_data("cedar_tests", "dev")
    asked = 0
    for file, case in cases(root):
        engine = prepared(located(root, case["policies"]).read_text()) if file.is_relative_to(root / folder) else None
        if engine is None:
            continue
        entities = spelt_out(located(root, case["entities"]).read_text(), located(root, case["schema"]).read_text())
        for request in case["requests"]:
            question = {name: request[name] for name in ("principal", "action", "resource", "context")}
            verdict = engine.evaluate(question, entities)
            place = f"{file.name}: {request['description']}"
            assert verdict.allow is (request["decision"] == "allow"), place
            assert set(verdict.reasons) == set(request["reason"]), place
            assert len(verdict.errors) == len(request["errors"]), (place, verdict.errors)
            asked += 1
    assert asked > 10
