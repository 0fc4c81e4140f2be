"""`served:` of `models.yaml`: what calls of programs count as."""

from __future__ import annotations

from typing import cast

from signoff.catalog.parsing.fields import Fields
from signoff.catalog.served import RISKS, ServedDefaults
from signoff.core.labels import DataClass
from signoff.workflows.model import Risk


def parse_served(fields: Fields) -> ServedDefaults:
    """The defaults that a file declares; what is wrong with them is reported."""
    served, least = fields.mapping("served"), ServedDefaults()
    served.only("data_class", "risk", "residency", "unsupported")
    words = [each.name.lower() for each in DataClass]
    said = served.one_of("data_class", words, least.data_class.name.lower())
    risk = cast("Risk", served.one_of("risk", RISKS, least.risk))
    drops = served.one_of("unsupported", ("refuse", "drop"), "refuse") == "drop"
    return ServedDefaults(DataClass[said.upper()], risk, frozenset(served.texts("residency")), drops)
