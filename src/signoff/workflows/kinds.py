"""The kinds of models that `model` names: what is no language model, each with what it takes and gives."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from signoff.core.errors import did_you_mean
from signoff.workflows import kind_schemas as schemas
from signoff.workflows.documents import Node
from signoff.workflows.kind_schemas import MAX_TEXTS, TEXT, record
from signoff.workflows.model import Contract
from signoff.workflows.report import Report

LEAST_LABELS = 2
MAX_LABELS = 200
"""Labels of one classification."""

MODEL_KINDS: Mapping[str, Contract] = {
    "classify": Contract(
        record({"text": TEXT}),
        record({"label": {"type": "string"}, "confidence": {"type": "number", "minimum": 0, "maximum": 1}}),
    ),
    "embed": Contract(
        record({"texts": {"type": "array", "items": TEXT, "minItems": 1, "maxItems": MAX_TEXTS}}),
        record(
            {
                "vectors": {"type": "array", "items": {"type": "array", "items": {"type": "number"}}},
                "model": {"type": "string"},
            }
        ),
    ),
    "rerank": Contract(schemas.RERANK_INPUT, schemas.RERANK_OUTPUT),
    "ocr": Contract(schemas.OCR_INPUT, schemas.OCR_OUTPUT),
    "transcribe": Contract(schemas.TRANSCRIBE_INPUT, schemas.TRANSCRIBE_OUTPUT),
    "forecast": Contract(schemas.FORECAST_INPUT, schemas.FORECAST_OUTPUT),
    "detect": Contract(schemas.DETECT_INPUT, schemas.DETECT_OUTPUT),
    "optimise": Contract(schemas.OPTIMISE_INPUT, schemas.OPTIMISE_OUTPUT),
}
"""What the gateway has models for today; a kind's name is the `task` of its route in `models.yaml`."""


def classification(labels: Mapping[str, str]) -> Contract:
    """The contract of a classification into those labels."""
    whole = MODEL_KINDS["classify"]
    label: Mapping[str, Any] = {"enum": list(labels)} if labels else {"type": "string"}
    confidence = whole.output_schema["properties"]["confidence"]
    return Contract(whole.input_schema, record({"label": label, "confidence": confidence}))


def kind_contract(report: Report, node: Node, *, quiet: bool = False) -> Contract | None:
    """The contract of a `model` step; none where there is no such kind, which is reported unless quiet."""
    name = node.entries["model"].text or ""
    if name == "classify":
        return classification(read_labels(None, node.entries.get("labels")))
    contract = MODEL_KINDS.get(name)
    if contract is None and not quiet:
        hint = did_you_mean(name, tuple(MODEL_KINDS)) or f"There are: {', '.join(MODEL_KINDS)}."
        detail = f"The gateway has no models of the kind '{name[:80]}'."
        report.add(node.entries["model"], detail, suggestion=hint, code="unknown-name")
    return contract


def read_labels(report: Report | None, node: Node | None) -> dict[str, str]:
    """Labels by name with what each means: a mapping of them, or a list of names. Problems go to the report, if any."""
    if node is None:
        return {}
    names: dict[str, Node] = dict(node.entries) if node.kind == "mapping" else {}
    for item in node.items if node.kind == "list" else ():
        if item.text:
            names[item.text] = item
        elif report is not None:
            report.add(item, "A label is a text.", code="type")
    if report is not None and not LEAST_LABELS <= len(names) <= MAX_LABELS:
        hint = "Write them as {refund: wants money back, other: anything else}."
        report.add(node, f"A classification has 2 to {MAX_LABELS} labels.", suggestion=hint, code="limit")
    found: dict[str, str] = {}
    for name, item in names.items():
        if item.kind != "scalar" or not isinstance(item.value, (str, type(None))):
            if report is not None:
                report.add(item, f"What '{name[:80]}' means is a text.", code="type")
        else:
            found[name] = item.text or name
    return found


def check_labels(report: Report, node: Node) -> None:
    """Report labels of a step that classifies nothing, and a classification without labels."""
    classifies = node.entries["model"].text == "classify"
    if classifies and "labels" not in node.entries:
        report.add(node, "'labels' is missing: into what is it classified?", code="missing-key")
    elif not classifies and "labels" in node.entries:
        report.add_key(node, "labels", "Only 'model: classify' has labels.", suggestion="Leave it out.", code="value")
