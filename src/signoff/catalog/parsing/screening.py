"""`screening:` of `signoff.yaml`: what detectors read of calls to models, and which filters stand before and after."""

from __future__ import annotations

from dataclasses import fields as dataclass_fields

from signoff.catalog.parsing.fields import Fields
from signoff.catalog.parsing.filters import parse_content_filters
from signoff.catalog.screening import LEAST_HELD_CHARACTERS, MOST_CHARACTERS, Screening, ScreeningSettings


def parse_screening(fields: Fields) -> Screening:
    """What a file declares; what is wrong with it is reported."""
    screening, usual = fields.mapping("screening"), ScreeningSettings()
    screening.only(*(one.name for one in dataclass_fields(ScreeningSettings)), "in", "out")
    held = screening.integer("held_characters", usual.held_characters, lowest=0, highest=MOST_CHARACTERS)
    if 0 < held < LEAST_HELD_CHARACTERS:
        suggestion = "Write 0 to hold a stream back until its end."
        detail = f"'held_characters' is 0 or at least {LEAST_HELD_CHARACTERS}: what filters look for is no shorter."
        screening.problem("held_characters", detail, suggestion=suggestion)
    settings = ScreeningSettings(
        injection=screening.boolean("injection", default=usual.injection),
        injection_characters=screening.integer(
            "injection_characters", usual.injection_characters, lowest=0, highest=MOST_CHARACTERS
        ),
        outgoing=screening.boolean("outgoing", default=usual.outgoing),
        held_characters=held,
    )
    return Screening(settings, parse_content_filters(screening, "in"), parse_content_filters(screening, "out"))
