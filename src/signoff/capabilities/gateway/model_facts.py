"""What is known of a model: by its own keys in `models.yaml`, else by what vendors say of their families of models.

Context windows come from genai-prices (offline) where it knows them. What nobody knows excludes nothing.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from functools import lru_cache
from typing import Any, cast

from signoff.capabilities.gateway.pricing import LISTED
from signoff.catalog.models import LOCAL_PROVIDERS, ModelSpec
from signoff.core.identities import OncePerObject
from signoff.core.values import value

MAX_KNOWN = 1_024
_TEXT = frozenset({"text"})
_SEES = _TEXT | {"image"}
_READS = _SEES | {"document"}
_HEARS = _READS | {"audio"}
_TOOLS = frozenset({"tools"})
_STRUCTURED = frozenset({"structured"})
_BOTH = _TOOLS | _STRUCTURED
_NONE = frozenset[str]()

# Families by their names, first match wins: what they read, what they can do, how many tokens they read where the price
# lists do not say. From the vendors' own pages of models, July 2026; a model's own keys win.
_FAMILIES: Sequence[tuple[re.Pattern[str], frozenset[str], frozenset[str], int | None]] = tuple(
    (re.compile(pattern), modalities, capabilities, context)
    for pattern, modalities, capabilities, context in (
        (r"gpt-4o.*audio", _TEXT | {"audio"}, _TOOLS, 128_000),
        (r"gpt-4o|chatgpt-4o", _READS, _BOTH, 128_000),
        (r"gpt-4\.1", _READS, _BOTH, 1_047_576),
        (r"gpt-5", _READS, _BOTH, 400_000),
        (r"gpt-4-turbo", _SEES, _TOOLS, 128_000),
        (r"gpt-4(-|$)", _TEXT, _TOOLS, 8_192),
        (r"gpt-3\.5", _TEXT, _TOOLS, 16_385),
        (r"gpt-oss", _TEXT, _BOTH, 131_072),
        (r"(^|/)o1-mini", _TEXT, _NONE, 128_000),
        (r"(^|/)o[134](-|$)", _READS, _BOTH, 200_000),
        (r"claude-(opus|sonnet|haiku)-4-5|claude-opus-4-[1-9]", _READS, _BOTH, 200_000),
        (r"claude-", _READS, _TOOLS, 200_000),
        (r"gemini-(1\.5|2|3)", _HEARS, _BOTH, 1_048_576),
        (r"pixtral|mistral-(medium|small)", _SEES, _BOTH, 128_000),
        (r"mistral-large|ministral|magistral", _TEXT, _BOTH, 128_000),
        (r"llama-?4", _SEES, _TOOLS, 131_072),
        (r"llama-?3[.-]2-?-(11b|90b)", _SEES, _TOOLS, 131_072),
        (r"llama-?3[.-][123]", _TEXT, _TOOLS, 131_072),
        (r"command-a-vision", _SEES, _NONE, 128_000),
        (r"command-", _TEXT, _BOTH, 128_000),
        (r"deepseek-(chat|v3)", _TEXT, _BOTH, 128_000),
        (r"deepseek-(reasoner|r1)", _TEXT, _NONE, 128_000),
        (r"nova-micro", _TEXT, _TOOLS, 128_000),
        (r"nova-(lite|pro|premier)", _READS, _TOOLS, 300_000),
        (r"qwen.*vl", _SEES, _TOOLS, None),
    )
)


@value
class ModelFacts:
    """What is known of a model.

    Attributes:
        context_tokens: how many tokens it reads and writes together; none where nobody knows.
        modalities: what it reads; none where nobody knows.
        capabilities: what it can do; none where nobody knows.
        quality: by task, from 0 to 1, as the project says.
    """

    context_tokens: int | None
    modalities: frozenset[str] | None
    capabilities: frozenset[str] | None
    quality: Mapping[str, float]


def facts_of(spec: ModelSpec) -> ModelFacts:
    """What is known of a model."""
    return _facts(spec)


def _read_facts(spec: ModelSpec) -> ModelFacts:
    own = spec.settings
    name, url = str(own.get("model") or ""), str(own.get("base_url") or "")
    context, modalities, capabilities = _known(spec.provider, name, url)
    return ModelFacts(
        cast("int | None", own.get("context_tokens", context)),
        frozenset(cast("Sequence[str]", own["modalities"])) if "modalities" in own else modalities,
        frozenset(cast("Sequence[str]", own["capabilities"])) if "capabilities" in own else capabilities,
        cast("Mapping[str, float]", own.get("quality") or {}),
    )


_facts = OncePerObject(_read_facts)


def lies_in(spec: ModelSpec, region: str) -> bool:
    """Whether a model runs in a region: in this deployment, or where its `region` is that one or a part of it.

    `eu-central-1` and `europe-west4` lie in `eu`. A model that does not say where it runs lies nowhere.
    """
    if not region or spec.provider in LOCAL_PROVIDERS:
        return True
    own, wanted = (re.sub(r"^europe(?=-|$)", "eu", word.lower()) for word in (spec.region, region))
    return own == wanted or own.startswith(f"{wanted}-")


@lru_cache(maxsize=MAX_KNOWN)
def _known(provider: str, model: str, base_url: str) -> tuple[int | None, frozenset[str] | None, frozenset[str] | None]:
    if provider in LOCAL_PROVIDERS:
        # A coder of 1.5 billion parameters calls tools that are not there: it keeps to a schema, and calls none.
        return None, _TEXT, _STRUCTURED if provider == "qwen" else _NONE
    for pattern, modalities, capabilities, context in _FAMILIES:
        if pattern.search(model.lower()):
            return _listed_context(provider, model, base_url) or context, modalities, capabilities
    return _listed_context(provider, model, base_url), None, None


def _listed_context(provider: str, model: str, base_url: str) -> int | None:
    from genai_prices.data_snapshot import get_snapshot  # noqa: PLC0415  (a tenth of a second: only for vendors' models)

    if not model or not (provider in LISTED or base_url.startswith("http")):
        return None
    try:
        # Looked up by its URL where that says more: the same name means another model elsewhere.
        listed = LISTED.get(provider)
        found: Any = get_snapshot().find_provider_model(model, None, listed, None if listed else base_url)
    except LookupError:
        return None
    return cast("int | None", found[1].context_window)
