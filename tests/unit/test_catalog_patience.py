"""A `delay` that is longer than `max_delay` was cut without a word."""

from __future__ import annotations

from signoff.catalog import load_project_files
from signoff.catalog.patience import cut_delays

WORKFLOW = """workflow: a
version: 1.0.0
input: {type: object, properties: {}}
steps:
  cut: {emit: a.done, retry: {times: 2, delay: 10m}}
  said: {emit: a.done, retry: {times: 2, delay: 10m, max_delay: 20m}}
  turns: {for: "${[1]}", steps: {inner: {emit: a.done, retry: {times: 2, delay: 2m, max_delay: 1m}}}, give: {}}
  never: {emit: a.done, retry: {times: 0, delay: 10m}}
outcome: {done: "true"}
"""


def test_a_delay_that_is_cut_is_told_at_its_step() -> None:
    files = {"signoff.yaml": "project: a\n", "workflows/a.yaml": WORKFLOW}
    project = load_project_files({name: text.encode() for name, text in files.items()})
    found = list(cut_delays(project.workflows["a"]))
    assert [(one.code, one.file, one.line) for one in found] == [
        ("cut-delay", "workflows/a.yaml", 5),
        ("cut-delay", "workflows/a.yaml", 7),
    ]
    assert found[0].detail.startswith("'retry' of 'cut' waits 300 s, not the 600 s of its 'delay'")
    assert found[1].suggestion == "Write 'max_delay: 120s' or more, or a shorter 'delay'."
