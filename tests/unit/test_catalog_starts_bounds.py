"""Figures of queues and retention that no machine can compute with are told, with their place."""

from __future__ import annotations

import pytest
from support.api_cases import FILES

from signoff.catalog import load_project_files
from signoff.core.errors import DefinitionError


@pytest.mark.parametrize(
    "text",
    [
        "retention: {done: 99999999999w}",
        f"retention: {{failed: {'9' * 400}d}}",
        f"queues: {{refunds: {{rate: {'9' * 5000}/1m}}}}",
        f"queues: {{refunds: {{rate: 1/{'9' * 400}s}}}}",
        "queues: {refunds: {rate: ٣/1m}}",
    ],
)
def test_a_figure_that_is_too_large_is_told(text: str):
    files = {**FILES, "signoff.yaml": FILES["signoff.yaml"] + text}
    with pytest.raises(DefinitionError) as caught:
        load_project_files({name: content.encode() for name, content in files.items()})
    assert caught.value.problems[0].file == "signoff.yaml"
