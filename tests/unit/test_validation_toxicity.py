"""The filter `toxicity`: its list, and the model of the extra, which this environment has."""

from __future__ import annotations

import pytest

from signoff.capabilities.validation.filters.pipeline import default_filters

INSULTING = [
    "You are a disgusting pig.",
    "Stop whining, you pathetic loser.",
    "Thank you for your order. <b>You filthy</b> liar! Your parcel was sent on Monday and comes tomorrow.",
    "We regret the delay.\nGet lost, m0ron.",
]
DECENT = [
    "",
    "...",
    "We are sorry that your jug broke; we refund 42 EUR.",
    "The package was killed in transit by the carrier. You will not regret it!",
    "Please shut down the device, and start it again. The dead battery is replaced at no cost.",
]


@pytest.mark.parametrize("text", INSULTING)
def test_insults_are_found_wherever_they_stand_in_a_mail(text: str) -> None:
    (found,) = default_filters()["toxicity"].find(text, {})
    assert "insult" in found.reason
    assert "pig" not in found.reason


@pytest.mark.parametrize("text", DECENT)
def test_decent_texts_pass_but_for_the_words_of_the_project(text: str) -> None:
    toxicity = default_filters()["toxicity"]
    assert not toxicity.find(text, {})
    assert bool(toxicity.find(f"{text} jugs", {"words": ("jugs",)}))
