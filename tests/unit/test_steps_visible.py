"""Which verbs write what others see, so that the engine puts the journal on the disk before them."""

from __future__ import annotations

import pytest

from signoff.steps.acting import ActingStep
from signoff.steps.ai import AiStep
from signoff.steps.emit import EmitStep
from signoff.steps.retrieve import RetrieveStep
from signoff.steps.review import ReviewStep
from signoff.steps.tool import ToolStep


@pytest.mark.parametrize(
    ("handler", "visible"),
    [(ReviewStep, True), (EmitStep, True), (AiStep, False), (RetrieveStep, False), (ToolStep, False)],
)
def test_reviews_and_events_are_visible(handler: type[ActingStep], visible: bool) -> None:
    assert handler.visible is visible
