"""The language: YAML documents and CEL expressions, compiled with every problem at its place.

Importing it loads no CEL: that happens when something is compiled.
"""

from __future__ import annotations

from signoff.workflows.compiler import compile_workflow
from signoff.workflows.describing import describe
from signoff.workflows.documents import Node, load_document
from signoff.workflows.errors import Blocked, ExpressionError
from signoff.workflows.model import Contract, Contracts, Expression, Scope, Step, Workflow

__all__ = [
    "Blocked",
    "Contract",
    "Contracts",
    "Expression",
    "ExpressionError",
    "Node",
    "Scope",
    "Step",
    "Workflow",
    "compile_workflow",
    "describe",
    "load_document",
]
