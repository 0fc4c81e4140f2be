"""The injection detector on rows that it was not trained on: recall, and how often it is wrong about benign texts.

One threshold for all, the detector's own. The halves are those of `benchmarks/injection_data.py`; NotInject and BIPIA's
contexts are benign, agentdojo's clean outputs too, and so are support tickets that had no part in anything.
"""

from __future__ import annotations

import time
from collections.abc import Sequence

from rich.console import Console
from rich.table import Table

from benchmarks.injection_data import Row, agentdojo, bipia, deepset, notinject, rows
from signoff.governance.injection import THRESHOLD, detect

QUICK_ROWS = 40
TICKETS = 400
KB = 1024


def run(*, quick: bool) -> dict[str, float]:
    """The figures, by their names in RESULTS.md."""
    tickets = rows("bitext_support/dev/tickets.jsonl")[:TICKETS]
    sets = {
        "notinject": notinject(),
        "deepset": deepset(),
        "agentdojo": agentdojo(),
        "bipia": bipia(),
        "tickets": [Row(row["text"], injected=False, reported=True) for row in tickets],
    }
    detect("loads the weights")
    began, size_bytes = time.process_time(), 0
    figures: dict[str, float] = {}
    table = Table("set", "rows with", "recall", "rows without", "false positives", title=f"threshold {THRESHOLD}")
    for name, all_rows in sets.items():
        reported = [row for row in all_rows if row.reported]
        if quick:
            reported = reported[:: max(1, len(reported) // QUICK_ROWS)]
        size_bytes += sum(len(row.text.encode()) for row in reported)
        injected, benign = ([row for row in reported if row.injected is wanted] for wanted in (True, False))
        cells = [name]
        for kind, chosen in (("recall", injected), ("fpr", benign)):
            if chosen:
                figures[f"{kind}_{name}"] = _share(chosen)
            cells += [str(len(chosen)), f"{figures[f'{kind}_{name}']:.3f}" if chosen else ""]
        table.add_row(*cells)
    figures["cpu_ms_per_kb"] = round((time.process_time() - began) * 1000 / (size_bytes / KB), 2)
    Console().print(table)
    return figures


def _share(chosen: Sequence[Row]) -> float:
    return round(sum(detect(row.text).suspicious for row in chosen) / len(chosen), 4)
