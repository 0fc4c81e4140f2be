"""Proven data flow: which data can reach what, and who can steer it, before anything runs."""

from signoff.workflows.flow.analysis import FlowResult, StepFlow, analyse
from signoff.workflows.flow.checking import check_flow
from signoff.workflows.flow.contracts import PromptFacts, RuleFacts, Surroundings, ToolFacts
from signoff.workflows.flow.findings import Finding, path_text
from signoff.workflows.flow.model import Flow, Value

__all__ = [
    "Finding",
    "Flow",
    "FlowResult",
    "PromptFacts",
    "RuleFacts",
    "StepFlow",
    "Surroundings",
    "ToolFacts",
    "Value",
    "analyse",
    "check_flow",
    "path_text",
]
