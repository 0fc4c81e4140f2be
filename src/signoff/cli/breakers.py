"""`signoff breakers`: which tools and models are left alone because they keep failing."""

from __future__ import annotations

import json
from typing import Annotated

import typer

from signoff.cli.options import JsonOption, KeyOption, ProjectOption, UrlOption, examples
from signoff.cli.output import console, moment, plain

BREAKERS_EXAMPLES = examples("signoff breakers", "signoff breakers --not-closed --json")
MAX_LISTED = 1000
"""Breakers that are listed."""


def breakers(
    *,
    not_closed: Annotated[bool, typer.Option("--not-closed", help="Leave out those that let calls through.")] = False,
    url: UrlOption = None,
    key: KeyOption = None,
    project: ProjectOption = None,
    as_json: JsonOption = False,
) -> None:
    """List the circuit breakers of tools and models that have failed lately; what never failed has none.

    With --json: one per line.
    """
    from rich.table import Table

    from signoff.cli.client import connect

    with connect(url, key, project) as client:
        found = [
            item
            for item in client.pages("/v1/breakers", most=MAX_LISTED)
            if not (not_closed and item["state"] == "closed")
        ]
    if as_json:
        for item in found:
            print(json.dumps(item))
        return
    if not found:
        print("No tool or model has failed lately." if not not_closed else "Every breaker is closed.")
        return
    table = Table("target", "state", "failures", "slow", "opened", "last", "next call", box=None, header_style="bold")
    for item in found:
        counts = (item["failures"], item["slow_calls"], item["trips"])
        cells = (item["target"], item["state"], *counts, item["reason"], moment(item["retry_at"]))
        table.add_row(*(plain(cell) for cell in cells))
    console().print(table)
