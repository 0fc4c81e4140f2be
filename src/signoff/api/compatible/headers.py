"""What callers say of their calls in headers. What limits and policy go by, they can only make stricter."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import cast

from starlette.types import Scope

from signoff.api.compatible.members import RequestError
from signoff.catalog.served import RISKS, ServedDefaults
from signoff.core.labels import DataClass, Labels, Trust
from signoff.workflows.model import Risk

LATENCY_MOST_S = 600.0
_READ = "signoff.headers"
"""Where a scope keeps them."""
_WORD = re.compile(r"[A-Za-z0-9][A-Za-z0-9._:/-]{0,199}", re.ASCII)
_FLAGS = {"true": True, "false": False}


def headers_of(scope: Scope) -> Mapping[str, str]:
    """A request's headers by their names in lower case; of one that comes twice, the first. Read once, asked often."""
    known = scope.get(_READ)
    if known is None:
        found = {name.decode("latin-1"): value.decode("latin-1") for name, value in reversed(scope["headers"])}
        known = scope[_READ] = found
    return known


def labels_of(headers: Mapping[str, str], least: ServedDefaults) -> Labels:
    """The labels of what is sent. It is untrusted, and neither its class nor its regions fall below the project's.

    Raises:
        RequestError: a header is wrong, or says less than the project does.
    """
    said = headers.get("signoff-data-class", least.data_class.name).strip().upper()
    if said not in DataClass.__members__:
        raise _bad("signoff-data-class", f"one of {', '.join(name.lower() for name in DataClass.__members__)}")
    if DataClass[said] < least.data_class:
        raise _bad("signoff-data-class", f"{least.data_class.name.lower()}, as the project has it, or above")
    regions = [region.strip() for region in headers.get("signoff-residency", "").split(",") if region.strip()]
    if not all(_WORD.fullmatch(region) for region in regions):
        raise _bad("signoff-residency", "names of regions, with commas between them")
    return Labels(DataClass[said], Trust.UNTRUSTED, least.residency | frozenset(regions))


def risk_of(headers: Mapping[str, str], least: ServedDefaults) -> Risk:
    """The call's risk, not below the project's.

    Raises:
        RequestError: as `labels_of`.
    """
    said = headers.get("signoff-risk", least.risk).strip().lower()
    risk = next((one for one in RISKS if one == said), None)
    if risk is None:
        raise _bad("signoff-risk", "low, medium or high")
    if RISKS.index(risk) < RISKS.index(least.risk):
        raise _bad("signoff-risk", f"{least.risk}, as the project has it, or above")
    return cast("Risk", risk)


def word(headers: Mapping[str, str], name: str) -> str:
    """A word; empty where it is not there.

    Raises:
        RequestError: it is none.
    """
    said = headers.get(name, "").strip()
    if said and not _WORD.fullmatch(said):
        raise _bad(name, "one word")
    return said


def flag(headers: Mapping[str, str], name: str) -> bool:
    """True or false; false where it is not there.

    Raises:
        RequestError: it is neither.
    """
    found = _FLAGS.get(headers.get(name, "false").strip().lower())
    if found is None:
        raise _bad(name, "true or false")
    return found


def drops(headers: Mapping[str, str], least: ServedDefaults) -> bool:
    """Whether what is not supported is left out where that can be, as the call says, else as the project does.

    Raises:
        RequestError: it says something else.
    """
    said = headers.get("signoff-unsupported")
    if said is None:
        return least.drops
    if said.strip().lower() not in ("drop", "refuse"):
        raise _bad("signoff-unsupported", "drop or refuse")
    return said.strip().lower() == "drop"


def latency_s(headers: Mapping[str, str]) -> float | None:
    """How soon the first token is wanted, in seconds; none for no objective.

    Raises:
        RequestError: it is none, or too long.
    """
    said = headers.get("signoff-latency")
    if said is None:
        return None
    try:
        seconds = float(said)
    except ValueError:
        seconds = 0.0
    if not 0 < seconds <= LATENCY_MOST_S:
        raise _bad("signoff-latency", f"seconds, more than 0 and at most {LATENCY_MOST_S:g}")
    return seconds


def _bad(name: str, allowed: str) -> RequestError:
    return RequestError(f"The header '{name}' has to be {allowed}.", param=name)
